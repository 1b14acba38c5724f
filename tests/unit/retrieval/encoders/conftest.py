"""Models for the encoder's tests: a tiny BERT folder written without torch, and the real defaults, prepared once a user."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from retrieval.encoders.factory import load_encoder
from retrieval.encoders.port import TextEncoder
from retrieval.encoders.settings import EncoderSettings
from tests.support.tiny_bert import write_tiny_bert


@cache
def _load(settings: EncoderSettings) -> TextEncoder:
    return load_encoder(settings)


@pytest.fixture
def encoder_for() -> Callable[..., TextEncoder]:
    """An encoder by its settings, loaded once a test session."""

    def load(**settings: Any) -> TextEncoder:
        return _load(EncoderSettings(threads=2, **settings))

    return load


@pytest.fixture
def tiny_folder(tmp_path: Path) -> Callable[..., Path]:
    """Writes a sentence-transformers folder with a random two-layer BERT."""

    def write(pooling: str = "mean", *, name: str = "tiny", **more: Any) -> Path:
        return write_tiny_bert(tmp_path / name, pooling, **more)

    return write
