"""Files are read row by row; what is broken costs its own row only and is named by its line."""

from __future__ import annotations

import gzip
import tracemalloc

import polars as pl
import pytest

from ferroflux.ingest import rows as rows_module
from ferroflux.ingest.rows import MAX_ROW_BYTES, Row, RowSource, UnreadableRow
from schemas.errors import ConfigurationError


def write(path, content: str | bytes):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_json_lines_with_blank_and_broken_lines(tmp_path) -> None:
    file = write(tmp_path / "a.jsonl", b'{"sku": 1}\n\n{broken\n[1]\n\xff\xfe\n{"sku": 2}')
    rows = list(RowSource(file))
    assert [row for row in rows if isinstance(row, Row)] == [Row(1, {"sku": 1}), Row(6, {"sku": 2})]
    assert [(row.line, row.reason.split(":")[0]) for row in rows if isinstance(row, UnreadableRow)] == [
        (3, "not valid JSON"),
        (4, "a JSON list, not an object"),
        (5, "not valid JSON"),
    ]


def test_compressed_json_lines_tell_how_far_they_are(tmp_path) -> None:
    file = tmp_path / "a.jsonl.gz"
    file.write_bytes(gzip.compress(b'{"sku": 1}\n' * 1000))
    source = RowSource(file)
    assert source.fraction == 0
    assert len(list(source)) == 1000
    assert source.fraction == 1


def test_a_file_that_breaks_off_says_so_after_its_good_rows(tmp_path) -> None:
    whole = gzip.compress(b'{"sku": 1}\n' * 50_000)
    file = write(tmp_path / "a.jsonl.gz", whole[: len(whole) // 2])
    read = []
    with pytest.raises(ConfigurationError, match="broke off"):
        read.extend(RowSource(file))


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_of_a_csv_file_is_found(tmp_path, delimiter) -> None:
    file = write(tmp_path / "a.csv", f'sku{delimiter}titulo\nA{delimiter}"uno{delimiter}dos"\n')
    assert list(RowSource(file)) == [Row(2, {"sku": "A", "titulo": f"uno{delimiter}dos"})]


def test_csv_rows_of_another_width_and_quoted_line_ends(tmp_path) -> None:
    file = write(tmp_path / "a.csv", '\ufeffsku,titulo\nA,"dos\nlíneas"\nB\nC,tres\n')
    assert list(RowSource(file)) == [
        Row(3, {"sku": "A", "titulo": "dos\nlíneas"}),
        UnreadableRow(4, "B", "1 cells, but the header has 2"),
        Row(5, {"sku": "C", "titulo": "tres"}),
    ]


def test_another_encoding_is_named_in_the_reason_and_read_when_it_is_given(tmp_path) -> None:
    file = write(tmp_path / "a.csv", "sku,titulo\nA,Tubería\n".encode("latin-1"))
    (row,) = RowSource(file)
    assert isinstance(row, UnreadableRow)
    assert "--encoding" in row.reason
    assert list(RowSource(file, encoding="latin-1")) == [Row(2, {"sku": "A", "titulo": "Tubería"})]


def test_parquet_rows_keep_their_types(tmp_path) -> None:
    file = tmp_path / "a.parquet"
    pl.DataFrame({"sku": ["A", "B"], "price": [1.5, None], "ean": [["1", "2"], []]}).write_parquet(file)
    source = RowSource(file)
    assert list(source) == [
        Row(1, {"sku": "A", "price": 1.5, "ean": ["1", "2"]}),
        Row(2, {"sku": "B", "price": None, "ean": []}),
    ]
    assert source.fraction == 1


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.xlsx", "x", "the ending must be one of"),
        ("a.csv", "\n", "no header line"),
        ("a.parquet", "not parquet", "not a readable Parquet file"),
    ],
)
def test_a_file_that_cannot_be_read_says_what_it_should_be(tmp_path, name, content, said) -> None:
    with pytest.raises(ConfigurationError, match=said):
        list(RowSource(write(tmp_path / name, content)))


def test_a_missing_file_is_named(tmp_path) -> None:
    with pytest.raises(ConfigurationError, match=r"there is no file .*absent\.csv"):
        RowSource(tmp_path / "absent.csv")


@pytest.fixture
def most(monkeypatch) -> int:
    """A bound on rows that a test can fill in no time."""
    monkeypatch.setattr(rows_module, "MAX_ROW_BYTES", 20_000)
    return 20_000


def test_a_line_that_is_too_long_is_one_bad_row_of_which_the_beginning_is_kept(tmp_path, most) -> None:
    long = b"x" * (most + 1)
    file = write(tmp_path / "a.jsonl", b'{"sku": 1}\n' + long + b'\n{"sku": 2}\n' + long + long)
    rows = list(RowSource(file))
    assert [row for row in rows if isinstance(row, Row)] == [Row(1, {"sku": 1}), Row(3, {"sku": 2})]
    bad = [row for row in rows if isinstance(row, UnreadableRow)]
    assert [(row.line, len(row.raw)) for row in bad] == [(2, 2_000), (4, 2_000)]
    assert f"longer than {most} bytes" in bad[0].reason


def test_a_row_may_have_exactly_its_bytes(tmp_path, most) -> None:
    line = b'{"sku": "' + b"x" * (most - 12) + b'"}\n'
    assert len(line) == most
    assert [type(row) for row in RowSource(write(tmp_path / "a.jsonl", line + line))] == [Row, Row]


@pytest.mark.parametrize(
    ("bad", "lines"),
    [(b"x" * 20_000 + b"\n", 1), (b'"' + b"never closed\n" * 2_000, 1539), (b'"' + b'","\n' * 6_000, 5_000)],
    ids=["one long line", "a quotation mark that is never closed", "a row of very many cells"],
)
def test_a_csv_row_that_is_too_long_costs_itself(tmp_path, most, bad, lines) -> None:
    file = write(tmp_path / "a.csv", b"sku,titulo\nA,uno\nB," + bad + b"C,tres\n")
    rows = list(RowSource(file))
    assert rows[0] == Row(2, {"sku": "A", "titulo": "uno"})
    assert isinstance(rows[1], UnreadableRow)
    assert rows[1].line == 2 + lines
    assert f"longer than {most} bytes" in rows[1].reason
    assert ("of line 3 never closed?" in rows[1].reason) == (lines > 1)
    if lines == 1:
        assert rows[2:] == [Row(4, {"sku": "C", "titulo": "tres"})]


def test_a_csv_file_without_line_ends_and_an_unknown_encoding_are_refused_with_a_remedy(tmp_path, most) -> None:
    with pytest.raises(ConfigurationError, match="is it a CSV file"):
        list(RowSource(write(tmp_path / "a.csv", b"x" * (most + 1))))
    with pytest.raises(ConfigurationError, match="latin-1"):
        RowSource(write(tmp_path / "b.csv", b"sku\n1\n"), encoding="ansi-1")


def test_an_endless_line_is_read_in_bounded_memory(tmp_path) -> None:
    with gzip.open(tmp_path / "a.jsonl.gz", "wb", compresslevel=1) as packed:
        for _ in range(12):
            packed.write(b"x" * MAX_ROW_BYTES)
        packed.write(b'\n{"sku": 1}')
    tracemalloc.start()
    try:
        rows = list(RowSource(tmp_path / "a.jsonl.gz"))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert rows[1] == Row(2, {"sku": 1})
    assert peak < 4 * MAX_ROW_BYTES
