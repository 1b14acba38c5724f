"""Texts to token ids with the tokenizers library: prompt, truncation, special tokens; no padding."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
import structlog
from tokenizers import Encoding, Tokenizer, normalizers

from retrieval.encoders.models.cache import PreparedModel
from retrieval.encoders.models.light_vocabulary import LIGHT_IDS_FILE, LIGHT_TOKENIZER_FILE, uncommon_pattern
from schemas.errors import ConfigurationError

log = structlog.get_logger(__name__)


class TokenIds(Protocol):
    """Turns texts into the ids that a model reads."""

    def token_ids(self, texts: Sequence[str], prompt: str) -> list[list[int]]:
        """Ids of each text behind the prompt."""
        ...


def open_tokenizer(model: PreparedModel, *, max_length: int) -> TokenIds:
    """The model's tokenizer, over the light vocabulary where the model has one.

    Raises:
        ConfigurationError: the file is not one of the tokenizers library.
    """
    if model.light_vocabulary is not None:
        return LightTokenizer(model.light_vocabulary, model.tokenizer_file, max_length=max_length)
    return TextTokenizer(model.tokenizer_file, max_length=max_length, lower_case=model.manifest.lower_case)


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
        return [encoding.ids for encoding in self.encodings([prompt + text for text in texts])]

    def encodings(self, inputs: Sequence[str] | Sequence[tuple[str, str]]) -> list[Encoding]:
        """Ids and token types of texts or of pairs of texts; of a pair, the longer text is cut first."""
        try:
            return self._tokenizer.encode_batch_fast(list(inputs))
        except (UnicodeEncodeError, TypeError):
            return self._tokenizer.encode_batch_fast([_without_surrogates(each) for each in inputs])


class LightTokenizer:
    """The same tokens as `TextTokenizer` over the whole file, from the light vocabulary where that is exact.

    The whole vocabulary (some 280 MB) is loaded when the first text in another script comes, and kept. Thread-safe: at
    worst two threads load it at once, and one copy is dropped.
    """

    def __init__(self, light: Path, whole_file: Path, *, max_length: int) -> None:
        """Load the light vocabulary.

        Raises:
            ConfigurationError: a file is not one of the tokenizers library.
        """
        self._light = TextTokenizer(light / LIGHT_TOKENIZER_FILE, max_length=max_length, lower_case=False)
        self._ids = np.load(light / LIGHT_IDS_FILE)
        self._uncommon = uncommon_pattern()
        self._whole_file = whole_file
        self._max_length = max_length

    @cached_property
    def _whole(self) -> TextTokenizer:
        log.info("a text in another script came: loading the whole vocabulary", file=self._whole_file.name)
        return TextTokenizer(self._whole_file, max_length=self._max_length, lower_case=False)

    def token_ids(self, texts: Sequence[str], prompt: str) -> list[list[int]]:
        """Ids of each text behind the prompt, special tokens included; at most the maximal length."""
        if any(self._uncommon.search(text) for text in (prompt, *texts)):
            return self._whole.token_ids(texts, prompt)
        return [self._ids[ids].tolist() for ids in self._light.token_ids(texts, prompt)]


def _without_surrogates(given: str | tuple[str, str]) -> str | tuple[str, str]:
    return (
        _replace_surrogates(given)
        if isinstance(given, str)
        else (_replace_surrogates(given[0]), _replace_surrogates(given[1]))
    )


def _replace_surrogates(text: str) -> str:
    return "".join("\ufffd" if "\ud800" <= character <= "\udfff" else character for character in text)
