"""The text index's contract over every adapter."""

from collections.abc import Iterator

import pytest

from retrieval.text.factory import open_reader, open_writer
from retrieval.text.memory import MemoryTextReader, MemoryTextStore, MemoryTextWriter
from retrieval.text.port import TextIndexReader, TextIndexWriter
from retrieval.text.settings import TextIndexSettings
from tests.contracts.text_apart_suite import TextApartContract


class TestMemory(TextApartContract):
    @pytest.fixture
    def store(self) -> MemoryTextStore:
        return MemoryTextStore()

    @pytest.fixture
    def writer(self, store) -> TextIndexWriter:
        return MemoryTextWriter(store)

    @pytest.fixture
    def reader(self, writer, store) -> TextIndexReader:
        return MemoryTextReader(store)


class TestTantivy(TextApartContract):
    @pytest.fixture
    def settings(self, tmp_path) -> TextIndexSettings:
        return TextIndexSettings(directory=tmp_path / "text", heap_mb=15)

    @pytest.fixture
    def writer(self, settings) -> Iterator[TextIndexWriter]:
        writer = open_writer(settings)
        yield writer
        writer.close()

    @pytest.fixture
    def reader(self, writer, settings) -> TextIndexReader:
        return open_reader(settings)
