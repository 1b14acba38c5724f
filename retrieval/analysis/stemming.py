"""A light stemmer for Spanish and English at once: it removes number and gender, and nothing that changes the meaning.

A catalogue mixes both languages within a title and a query names no language, so one rule set has to serve every word.
Snowball's Spanish leaves `drills` apart from `drill`, its English leaves `tornillos` apart from `tornillo`, and both
cut derivations that hardware keeps apart. The rules follow the light stemmers of Savoy (Spanish) and Harman (English
S-stemmer): drop the plural, then the theme vowel, and the ending of the first conjugation, so that `cortar` meets
`corte` and `corta`. The input is folded already.
"""

from typing import Final

from runtime.bounded_cache import remembered_words

_SHORTEST_STEM: Final = 3

# Singulars that end like plurals; their plurals (`ingleses`) reduce to the same stem.
_SINGULAR_IN_S: Final = frozenset(
    {
        "adios",
        "atras",
        "autobus",
        "brass",
        "cipres",
        "compas",
        "frances",
        "gas",
        "gres",
        "ingles",
        "interes",
        "japones",
        "lens",
        "mas",
        "menos",
        "paris",
        "res",
        "tras",
    }
)


@remembered_words(max_bytes=64 * 1024 * 1024)
def stem(word: str) -> str:
    """The stem of a folded word of one token: `tornillos` → `tornill`, `drills` → `drill`, `luces` and `luz` → `luc`.

    Words of three letters keep all of them, words with digits stay as they are. The stem is a key, not a word.
    """
    if word in _SINGULAR_IN_S or not word.isalpha():
        return word
    reduced = word
    if len(word) > _SHORTEST_STEM:
        reduced = _drop_gerund(_drop_plural(word))
    if reduced[-1] in "aeo" and len(reduced) > _SHORTEST_STEM:
        reduced = reduced[:-1]
    if reduced.endswith("ar") and len(reduced) > _SHORTEST_STEM + 1:
        reduced = reduced[:-2]
    # Spanish writes the plural of luz as luces, English that of battery as batteries.
    if reduced[-1] == "z":
        return reduced[:-1] + "c"
    if reduced[-1] == "y":
        return reduced[:-1] + "i"
    return reduced


def _drop_plural(word: str) -> str:
    # -is, -us and -ss end singulars in both languages: gris, chasis, virus, glass.
    if word[-1] != "s" or word[-2] in "isu":
        return word
    return word[:-1]


def _drop_gerund(word: str) -> str:
    if not word.endswith("ing") or len(word) < 7:
        return word
    root = word[:-3]
    doubled = root[-1] == root[-2] and root[-1] not in "lsf"
    return root[:-1] if doubled else root
