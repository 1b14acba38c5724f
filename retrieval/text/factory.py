"""How a process gets its side of the text index: the tailer a writer, everybody else a reader."""

from retrieval.text.settings import TextIndexSettings
from retrieval.text.tantivy_index.reader import TantivyReader
from retrieval.text.tantivy_index.writer import TantivyWriter


def open_writer(settings: TextIndexSettings) -> TantivyWriter:
    """Open the index for writing, or make it.

    Raises:
        IndexInUseError: another writer holds the directory.
        IncompatibleIndexError: another schema, analysis or library version wrote it.
    """
    return TantivyWriter(settings)


def open_reader(settings: TextIndexSettings) -> TantivyReader:
    """Open the index for reading; where there is none yet, the reader answers NotReadyError until a refresh finds it.

    Raises:
        IncompatibleIndexError: another schema, analysis or library version wrote it.
    """
    return TantivyReader(settings)
