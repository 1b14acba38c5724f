"""A Unigram tokenizer cut to the scripts of our catalogues: the same tokens in half the memory.

The vocabulary of multilingual-e5-small has 250,002 pieces for a hundred languages; the tokenizers library keeps them as
a tree of maps, 280 MB. A piece can only match a text that holds all its characters, so for a text of Latin and Greek
letters, digits, punctuation and symbols, the pieces of other scripts never take part: leaving them out changes no token.
Any other text goes to the whole vocabulary, which is loaded when the first such text comes.

The cut is exact under three conditions, which are held here: the alphabet is closed under the normaliser (NFKC), the
piece with the lowest score stays (unknown characters are scored from it), and identifiers are translated back.
"""

import json
import re
import unicodedata
from pathlib import Path
from typing import Final

import numpy as np

LIGHT_TOKENIZER_FILE: Final = "tokenizer.light.json"
LIGHT_IDS_FILE: Final = "tokenizer.light.ids.npy"

_BLOCKS: Final = (
    (0x0009, 0x024F),  # Latin with its extensions, digits, punctuation
    (0x0300, 0x03FF),  # combining marks, Greek (the micro sign becomes a Greek letter)
    (0x1E00, 0x1FFF),  # what letters and marks compose into
    (0x2000, 0x2BFF),  # punctuation, fractions, currencies, technical symbols
)
_OUTSIDE: Final = re.compile(f"[^{''.join(f'{chr(first)}-{chr(last)}' for first, last in _BLOCKS)}]")

_LARGE: Final = 100_000
"""Smaller vocabularies are not worth a second file."""


def is_common(character: str) -> bool:
    """Whether a character, and all that NFKC makes of it, lies in the blocks that the light vocabulary serves."""
    return not _OUTSIDE.search(character + unicodedata.normalize("NFKC", character))


def uncommon_pattern() -> re.Pattern[str]:
    """Matches a character that needs the whole vocabulary."""
    common = [chr(code) for first, last in _BLOCKS for code in range(first, last + 1) if is_common(chr(code))]
    return re.compile(f"[^{''.join(map(re.escape, common))}]")


def write_light_vocabulary(tokenizer_file: Path, target: Path) -> bool:
    """Write the light tokenizer and the translation of its ids beside it, where the tokenizer is one that can be cut.

    Returns whether it was: only a large Unigram vocabulary without byte fallback, whose normaliser is Nmt and NFKC.
    """
    tokenizer = json.loads(tokenizer_file.read_bytes())
    if not _can_be_cut(tokenizer):
        return False
    model = tokenizer["model"]
    pieces: list[tuple[str, float]] = model["vocab"]
    special = {token["id"] for token in tokenizer["added_tokens"]}
    lowest = min(range(len(pieces)), key=lambda index: pieces[index][1])
    always = special | {model["unk_id"], lowest}
    kept = [index for index, (piece, _) in enumerate(pieces) if index in always or not _OUTSIDE.search(piece)]
    place = {index: position for position, index in enumerate(kept)}

    model["vocab"] = [pieces[index] for index in kept]
    model["unk_id"] = place[model["unk_id"]]
    for token in tokenizer["added_tokens"]:
        token["id"] = place[token["id"]]
    for token in (tokenizer["post_processor"] or {}).get("special_tokens", {}).values():
        token["ids"] = [place[index] for index in token["ids"]]
    (target / LIGHT_TOKENIZER_FILE).write_text(json.dumps(tokenizer, ensure_ascii=False), encoding="utf-8")
    np.save(target / LIGHT_IDS_FILE, np.asarray(kept, np.int32))
    return True


def _can_be_cut(tokenizer: dict[str, object]) -> bool:
    model, normalizer = tokenizer["model"], tokenizer["normalizer"]
    if not isinstance(model, dict) or not isinstance(normalizer, dict):
        return False
    steps = [step["type"] for step in normalizer.get("normalizers", ())]
    return (
        model["type"] == "Unigram"
        and len(model["vocab"]) > _LARGE
        and not model.get("byte_fallback")
        and steps == ["Nmt", "NFKC", "Replace"]
    )
