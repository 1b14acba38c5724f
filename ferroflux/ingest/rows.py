"""Rows of a file, one at a time in constant memory, each with its line number; a row that cannot be read is one too.

JSON lines and CSV are read line by line, since a broken line must cost itself only and be reported by its number, which
a columnar reader cannot do. Of a row that is too long only the beginning is held, be it one endless line or a quotation
mark that is never closed. Parquet is read by polars in batches; its rows are numbered from 1.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson

from schemas.errors import ConfigurationError

_SUFFIXES: Final = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".parquet": "parquet",
}
_DELIMITERS: Final = ",;\t|"
_PARQUET_BATCH: Final = 5_000

MAX_ROW_BYTES: Final = 4 * 1024 * 1024
"""Of a row in a file of text: more than four times what a change may have, for columns that are left out and for escapes."""

_SHOWN_BYTES: Final = 2_000
_SKIP_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Row:
    """A row that could be read: where it stands (1 is the file's first line or row) and its cells by column."""

    line: int
    cells: dict[str, Any]


@dataclass(frozen=True, slots=True)
class UnreadableRow:
    """A row that could not be read, as it stands in the file, and why."""

    line: int
    raw: str
    reason: str


@dataclass(slots=True)
class RowSource:
    """A file of rows. Iterating reads it once; `fraction` says how far that is, for a progress bar."""

    path: Path
    delimiter: str = ""
    encoding: str = "utf-8"
    _format: str = field(init=False)
    _consumed: Callable[[], float] = field(init=False, default=lambda: 0.0)

    def __post_init__(self) -> None:
        self._format = _format_of(self.path)
        try:
            codecs.lookup(self.encoding)
        except LookupError as error:
            msg = f"there is no encoding {self.encoding!r}: give one such as utf-8, latin-1 or cp1252"
            raise ConfigurationError(msg) from error

    @property
    def fraction(self) -> float:
        """How much of the file has been read, 0 to 1."""
        return min(1.0, self._consumed())

    def __iter__(self) -> Iterator[Row | UnreadableRow]:
        if self._format == "parquet":
            yield from self._parquet()
            return
        with self._opened() as binary:
            yield from self._json_lines(binary) if self._format == "jsonl" else self._csv(binary)

    @contextmanager
    def _opened(self) -> Iterator[io.BufferedIOBase]:
        size = max(1, self.path.stat().st_size)
        with self.path.open("rb") as raw:
            # For a compressed file the position is that of the compressed bytes, which is what the size counts too.
            self._consumed = lambda: raw.tell() / size if not raw.closed else 1.0
            if self.path.suffix == ".gz":
                with gzip.open(raw) as unpacked:
                    yield unpacked
            else:
                yield raw

    def _json_lines(self, binary: io.BufferedIOBase) -> Iterator[Row | UnreadableRow]:
        lines = _Lines(binary, self.path)
        while True:
            try:
                raw = lines.first_of_row()
            except _TooLongError as error:
                yield UnreadableRow(lines.number, _printable(error.beginning), str(error))
                continue
            if not raw:
                return
            if not raw.strip():
                continue
            try:
                cells = orjson.loads(raw)
            except orjson.JSONDecodeError as error:
                yield UnreadableRow(lines.number, _printable(raw), f"not valid JSON: {error}")
                continue
            if isinstance(cells, dict):
                yield Row(lines.number, cells)
            else:
                yield UnreadableRow(lines.number, _printable(raw), f"a JSON {type(cells).__name__}, not an object")

    def _csv(self, binary: io.BufferedIOBase) -> Iterator[Row | UnreadableRow]:
        lines = _Lines(binary, self.path)
        try:
            first = self._decoded(lines.first_of_row()).removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}")
        except _TooLongError as error:
            msg = f"{self.path}: the header line is {error}; is it a CSV file, and is --delimiter right?"
            raise ConfigurationError(msg) from error
        delimiter = self.delimiter or ("\t" if ".tsv" in self.path.suffixes else _sniff(first))
        csv.field_size_limit(MAX_ROW_BYTES)  # which the row's own bound comes to first
        header = next(csv.reader([first], delimiter=delimiter), [])
        if not any(name.strip() for name in header):
            msg = f"{self.path} has no header line: the first line must name the columns"
            raise ConfigurationError(msg)
        reader = csv.reader(map(self._decoded, lines), delimiter=delimiter)
        while True:
            begins = lines.begin_row()
            try:
                values = next(reader, None)
            except csv.Error as error:
                yield UnreadableRow(lines.number, "", f"not valid CSV: {error}")
                continue
            except _TooLongError as error:
                quoted = f"; is a quotation mark of line {begins} never closed?" if lines.number > begins else ""
                yield UnreadableRow(lines.number, _printable(error.beginning), f"{error}{quoted}")
                continue
            if values is None:
                return
            line = lines.number
            if not any(values):
                continue
            raw = delimiter.join(values)
            if len(values) != len(header):
                yield UnreadableRow(line, _visible(raw), f"{len(values)} cells, but the header has {len(header)}")
            elif any("\udc80" <= character <= "\udcff" for character in raw):
                yield UnreadableRow(
                    line, _visible(raw), f"not valid {self.encoding}: give the file's --encoding, such as latin-1"
                )
            else:
                yield Row(line, dict(zip(header, values, strict=True)))

    def _decoded(self, raw: bytes) -> str:
        return raw.decode(self.encoding, errors="surrogateescape")

    def _parquet(self) -> Iterator[Row]:
        import polars as pl  # noqa: PLC0415 - a quarter of a second that only Parquet files need

        try:
            scan = pl.scan_parquet(self.path)
            total = max(1, int(scan.select(pl.len()).collect().item()))
            line = 0
            self._consumed = lambda: line / total
            for batch in scan.collect_batches(chunk_size=_PARQUET_BATCH, maintain_order=True):
                for cells in batch.iter_rows(named=True):
                    line += 1
                    yield Row(line, cells)
        except pl.exceptions.PolarsError as error:
            msg = f"{self.path} is not a readable Parquet file: {str(error).splitlines()[0]}"
            raise ConfigurationError(msg) from error


def _format_of(path: Path) -> str:
    if not path.is_file():
        msg = f"there is no file {path}"
        raise ConfigurationError(msg)
    suffix = Path(path.stem).suffix if path.suffix == ".gz" else path.suffix
    known = _SUFFIXES.get(suffix.lower())
    if known is None or (known == "parquet" and path.suffix == ".gz"):
        msg = f"{path.name}: the ending must be one of {', '.join(_SUFFIXES)} (text formats also with .gz)"
        raise ConfigurationError(msg)
    return known


class _TooLongError(Exception):
    """A row has more bytes than any row may have; it was read over, and `beginning` is kept of it."""

    def __init__(self, beginning: bytes) -> None:
        super().__init__(f"longer than {MAX_ROW_BYTES} bytes, which is more than a row may have")
        self.beginning = beginning[:_SHOWN_BYTES]


class _Lines:
    """The lines of a file, each with its line end, and a bound on how many bytes make one row."""

    def __init__(self, binary: io.BufferedIOBase, path: Path) -> None:
        self._binary = binary
        self._path = path
        self._left = MAX_ROW_BYTES
        self.number = 0
        """Of the line that was read last, from 1."""

    def begin_row(self) -> int:
        """Give the next row its bytes; the number of its first line."""
        self._left = MAX_ROW_BYTES
        return self.number + 1

    def first_of_row(self) -> bytes:
        """The next line as the beginning of a row; empty at the end of the file.

        Raises:
            _TooLongError: the line is too long. The next one is next.
            ConfigurationError: the file broke off.
        """
        self.begin_row()
        return next(self, b"")

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            line = self._binary.readline(self._left + 1)
            too_long = len(line) > self._left
            rest = line
            while too_long and rest and not rest.endswith(b"\n"):
                rest = self._binary.readline(_SKIP_BYTES)
        except (OSError, EOFError, zlib.error) as error:
            msg = f"{self._path} broke off while it was read ({error}); what came before is taken"
            raise ConfigurationError(msg) from error
        if not line:
            raise StopIteration
        self.number += 1
        if too_long:
            raise _TooLongError(line)
        self._left -= len(line)
        return line


def _sniff(header: str) -> str:
    return max(_DELIMITERS, key=header.count)


def _printable(raw: bytes) -> str:
    return raw.decode("utf-8", errors="backslashreplace").rstrip("\r\n")


def _visible(raw: str) -> str:
    return raw.encode("utf-8", errors="surrogateescape").decode("utf-8", errors="backslashreplace")
