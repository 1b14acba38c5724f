"""Texts to token ids with the tokenizers library: prompt, truncation, special tokens; no padding."""

from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer, normalizers

from schemas.errors import ConfigurationError


class TextTokenizer:
    """A fast tokenizer with a fixed truncation. Thread-safe; releases the GIL for batches."""

    def __init__(self, path: Path, *, max_length: int, lower_case: bool) -> None:
        """Load the tokenizer's file; half a second for a vocabulary of 250,000.

        Raises:
            ConfigurationError: the file is not one of the tokenizers library.
        """
        try:
            self._tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises plain Exception
            raise ConfigurationError(f"{path} is not a tokenizer file: {error}") from error
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_length)
        if lower_case:
            own = self._tokenizer.normalizer
            self._tokenizer.normalizer = normalizers.Sequence([normalizers.Lowercase(), *([own] if own else [])])

    def token_ids(self, texts: Sequence[str], prompt: str) -> list[list[int]]:
        """Ids of each text behind the prompt, special tokens included; at most the maximal length.

        A lone surrogate, which has no UTF-8 form, is read as the replacement character.
        """
        prompted = [prompt + text for text in texts]
        try:
            encodings = self._tokenizer.encode_batch_fast(prompted)
        except (UnicodeEncodeError, TypeError):
            encodings = self._tokenizer.encode_batch_fast([_replace_surrogates(text) for text in prompted])
        return [encoding.ids for encoding in encodings]


def _replace_surrogates(text: str) -> str:
    return "".join("\ufffd" if "\ud800" <= character <= "\udfff" else character for character in text)
