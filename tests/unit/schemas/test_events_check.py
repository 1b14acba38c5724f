"""`ferroflux events check`: one verdict a record, parts that add up, and no bytes that make it crash."""

import gzip
import json
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from ferroflux.cli.check import events
from ferroflux.cli.check.events import app, split_record
from schemas.errors import ConfigurationError, InvalidMappingError

pytestmark = pytest.mark.slow

GOOD = b'{"sku":"A-1","version":5,"fields":{"title":"Pinza"}}'
DELETE = b'{"sku":"A-1","version":6,"op":"delete"}'
HEARTBEAT = b'{"ts_ms":1700000000000}'
BAD = b'{"sku":"A-1","fields":{}}'


@pytest.fixture
def check(tmp_path):
    def run(content: bytes, *options: str, exit_code: int | None = None):
        path = tmp_path / "events.txt"
        path.write_bytes(content)
        result = CliRunner().invoke(app, ["check", str(path), *options])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        if exit_code is not None:
            assert result.exit_code == exit_code
        lines = result.stdout.splitlines()
        return json.loads(lines[-1]), lines[:-1]

    return run


def test_each_record_has_a_line_with_its_reason_and_the_summary_comes_last(check):
    summary, lines = check(b"\n".join([GOOD, b"", DELETE, HEARTBEAT, b"  \r", BAD, b"\x00\xff"]), exit_code=1)
    assert summary == {"records": 5, "changes": 1, "deletes": 1, "ignored": 1, "rejected": 2}
    assert [re.split(r"\s+", line.strip())[:2] for line in lines] == [
        ["1", "change"], ["3", "delete"], ["4", "ignored"], ["6", "rejected"], ["7", "rejected"],
    ]  # fmt: skip
    assert "default/A-1 item at 0:5: title" in lines[0]
    assert "invalid_event: the event has no 'version'" in lines[3]


def test_a_file_without_a_rejected_record_succeeds(check):
    assert check(GOOD + b"\r\n" + DELETE, exit_code=0)[0]["rejected"] == 0
    assert check(b"", exit_code=0)[0] == {"records": 0, "changes": 0, "deletes": 0, "ignored": 0, "rejected": 0}


def test_quiet_prints_the_summary_only_and_json_one_object_a_record(check):
    assert check(GOOD, "--quiet")[1] == []
    [line] = check(GOOD, "--json", "--tenant", "ferre")[1]
    record = json.loads(line)
    assert (record["outcome"], record["events"][0]["tenant"], record["events"][0]["fields"]) == (
        "change",
        "ferre",
        {"title": "Pinza"},
    )


def test_a_byte_order_mark_and_compression_are_no_obstacle(check):
    assert check(b"\xef\xbb\xbf" + GOOD, exit_code=0)[0]["changes"] == 1
    assert check(gzip.compress(GOOD + b"\n" + DELETE), exit_code=0)[0]["deletes"] == 1


def test_damaged_compression_is_a_rejected_record(check):
    packed = gzip.compress(b"\n".join(f'{{"sku":"{n}","version":{n},"fields":{{}}}}'.encode() for n in range(3000)))
    for content in (packed[: len(packed) // 2], packed[:-4] + b"oops", b"\x1f\x8b" + b"x" * 50):
        summary, lines = check(content, exit_code=1)
        assert summary["rejected"] == 1
        assert "damaged" in lines[-1]


def test_a_line_too_long_is_one_rejected_record(check, monkeypatch):
    monkeypatch.setattr(events, "MAX_LINE_BYTES", 100)
    summary, lines = check(b"x" * 1000 + b"\n" + GOOD + b"\n" + b"y" * 101, exit_code=1)
    assert summary == {"records": 3, "changes": 1, "deletes": 0, "ignored": 0, "rejected": 2}
    assert "longer than 100 bytes" in lines[0]


@pytest.mark.parametrize(
    ("line", "key", "value"),
    [
        (b'{"a":1}', None, b'{"a":1}'),
        (b'{"a":1}\r\n', None, b'{"a":1}'),
        (b'ferre/A\t{"a":1}\n', b"ferre/A", b'{"a":1}'),
        (b'{"id":1}\t{"a":1}', b'{"id":1}', b'{"a":1}'),
        (b'{"id":\t1}\t{"a":\t1}', b'{"id":\t1}', b'{"a":\t1}'),
        (b'{"a":\t1}', None, b'{"a":\t1}'),
        (b'{"a":\t1', None, b'{"a":\t1'),
        (b'null\t{"a":1}', None, b'{"a":1}'),
        (b'\t{"a":1}', None, b'\t{"a":1}'),
        (b"ferre/A\t", b"ferre/A", b""),
        (b"ferre/A\tnull", b"ferre/A", b"null"),
        (b"a\tb\tc", b"a", b"b\tc"),
    ],
)
def test_a_line_is_a_value_or_a_key_and_a_value(line, key, value):
    assert split_record(line) == (key, value)


def test_a_key_makes_a_deletion_out_of_a_row_without_identity(check):
    source = {"connector": "postgresql", "schema": "public", "table": "products", "lsn": 5}
    deletion = json.dumps({"before": None, "after": None, "op": "d", "source": source}).encode()
    assert check(deletion, exit_code=1)[0]["rejected"] == 1
    assert check(b'{"id":1}\t' + deletion, exit_code=0)[0]["deletes"] == 1


def test_a_record_with_two_changes_counts_once(check):
    source = {"connector": "postgresql", "schema": "public", "table": "stock", "lsn": 5}
    moved = {"before": {"sku": "A", "branch": "n"}, "after": {"sku": "A", "branch": "s"}, "op": "u", "source": source}
    summary, [line] = check(json.dumps(moved).encode())
    assert summary == {"records": 1, "changes": 1, "deletes": 0, "ignored": 0, "rejected": 0}
    assert "stock:n at 0:5: deleted; default/A stock:s" in line


def test_a_mapping_is_used_and_a_bad_one_named(check, tmp_path):
    mapping = tmp_path / "mapping.yaml"
    mapping.write_text("tables: [{match: {table: products}, sku: clave, fields: {title: texto}}]", encoding="utf-8")
    source = {"connector": "postgresql", "schema": "public", "table": "products", "lsn": 5}
    row = json.dumps({"before": None, "after": {"clave": "Z", "texto": "x"}, "op": "c", "source": source}).encode()
    assert "default/Z item at 0:5: title" in check(row, "--mapping", str(mapping))[1][0]
    mapping.write_text("tables: [{}]", encoding="utf-8")
    path = tmp_path / "events.txt"
    result = CliRunner().invoke(app, ["check", str(path), "--mapping", str(mapping)])
    assert isinstance(result.exception, InvalidMappingError)


@pytest.mark.parametrize("arguments", [["none.txt"], ["{file}", "--tenant", "a b"]])
def test_a_wrong_argument_is_named(tmp_path, arguments):
    path = tmp_path / "events.txt"
    path.write_bytes(GOOD)
    result = CliRunner().invoke(app, ["check", *(argument.format(file=path) for argument in arguments)])
    assert isinstance(result.exception, ConfigurationError)


def test_standard_input_is_a_file_too():
    result = CliRunner().invoke(app, ["check", "-"], input=GOOD + b"\n" + DELETE)
    assert json.loads(result.stdout.splitlines()[-1])["records"] == 2


pieces = st.sampled_from(
    [GOOD, DELETE, HEARTBEAT, BAD, b"\n", b"\t", b"\r\n", b"null", b"{", b'"', b"\x1f\x8b", b"\xef\xbb\xbf", b" "]
)


@given(st.one_of(st.binary(max_size=300), st.lists(pieces | st.binary(max_size=6), max_size=12).map(b"".join)))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_bytes_make_it_crash_and_the_parts_add_up(check, content):
    summary, lines = check(content)
    assert (
        summary["records"] == sum(summary[part] for part in ("changes", "deletes", "ignored", "rejected")) == len(lines)
    )
    if not content.startswith(b"\x1f\x8b"):
        assert summary["records"] == sum(1 for line in content.split(b"\n") if line.strip())
