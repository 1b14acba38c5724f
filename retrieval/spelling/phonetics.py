"""How a word sounds to a Spanish ear, as a key: people write hardware as they hear it, foreign words included. Pure.

`sinta` and `cinta`, `akordeon` and `acordeon`, `brequer` and `breaker` share or nearly share a key. The rules are the
merges of American Spanish: b/v, s/z/soft c, ll/y, silent h, g/j before e and i, k/qu/hard c, n/m before a consonant or at
the end, w as gu, doubled letters. Keys only propose; `retrieval.spelling.distance` decides.
"""

import re
from typing import Final

from runtime.bounded_cache import remembered_words

_RULES: Final = tuple(
    (re.compile(pattern), sound)
    for pattern, sound in (
        (r"ph", "f"),
        (r"ch", "C"),
        (r"sh", "C"),
        (r"h", ""),
        (r"ck", "k"),
        (r"ll", "y"),
        (r"qu(?=[ei])", "k"),
        (r"q", "k"),
        (r"c(?=[eiy])", "s"),
        (r"c", "k"),
        (r"z", "s"),
        (r"v", "b"),
        (r"gu(?=[ei])", "g"),
        (r"g(?=[ei])", "j"),
        (r"w", "gu"),
        (r"x", "ks"),
        (r"y(?=$|[^aeiou])", "i"),
        (r"(?<!^)m(?=$|[^aeiou])", "n"),
        (r"(.)\1+", r"\1"),
    )
)


@remembered_words(max_bytes=96 * 1024 * 1024)
def sound_key(word: str) -> str:
    """The key of a folded word: `hombre` and `ombre` are both `onbre`."""
    for pattern, sound in _RULES:
        word = pattern.sub(sound, word)
    return word
