"""`ferroflux events check`: what would become of a file of change events, before anything is sent.

The file is read record by record, so its size does not matter, and so does no byte of it: whatever cannot be read is a
rejected record with its reason. Exit code 0 where nothing was rejected, 1 where something was, 78 where the mapping is
not valid or a file is not there.
"""

import gzip
import json
import sys
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from io import BufferedIOBase, BufferedReader, RawIOBase, TextIOWrapper
from pathlib import Path
from typing import Annotated, Final, Literal, cast

import orjson
import typer

from schemas.errors import ConfigurationError, InvalidEventError, PoisonError, UnparsableEventError
from schemas.events.parser import MAX_EVENT_BYTES, EventParser, Ignored
from schemas.identity import tenant_id
from schemas.mapping.loading import load_mapping
from schemas.product.changes import ChangeEvent

app = typer.Typer(no_args_is_help=True)

EXIT_REJECTED: Final = 1
MAX_LINE_BYTES: Final = 2 * MAX_EVENT_BYTES
"""A key and a value; what is longer is rejected without being held."""

_GZIP_MAGIC: Final = b"\x1f\x8b"
_BOM: Final = b"\xef\xbb\xbf"
_KEY_TABS: Final = 16
_STANDARD_INPUT: Final = Path("-")

Outcome = Literal["change", "delete", "ignored", "rejected"]


@dataclass(slots=True)
class Summary:
    """What became of the records; the other four add up to `records`."""

    records: int = 0
    changes: int = 0
    deletes: int = 0
    ignored: int = 0
    rejected: int = 0

    def count(self, outcome: Outcome) -> None:
        """Count one record."""
        self.records += 1
        if outcome == "change":
            self.changes += 1
        elif outcome == "delete":
            self.deletes += 1
        elif outcome == "ignored":
            self.ignored += 1
        else:
            self.rejected += 1


@dataclass(frozen=True, slots=True)
class Verdict:
    """What would become of one record: `reason` is the error's code of a rejected one, `detail` a sentence."""

    line: int
    outcome: Outcome
    detail: str
    reason: str = ""
    events: tuple[ChangeEvent, ...] = ()

    def to_text(self) -> str:
        """One line for a reader."""
        reason = f"{self.reason}: " if self.reason else ""
        return f"{self.line:>6}  {self.outcome:<8}  {reason}{_printable(self.detail)}"

    def to_json(self) -> str:
        """One line for a program."""
        raw: dict[str, object] = {
            "line": self.line,
            "outcome": self.outcome,
            "reason": self.reason,
            "detail": self.detail,
        }
        if self.events:
            raw["events"] = [_event_to_json(event) for event in self.events]
        return json.dumps(raw)


@dataclass(frozen=True, slots=True)
class Damage:
    """A place from which the file cannot be read on, or a record too long to be one."""

    detail: str


def verdicts(lines: Iterable[bytes | Damage], parser: EventParser) -> Iterator[Verdict]:
    """Judge every record; lines of nothing but blanks are none. Never raises for what the lines hold."""
    for number, line in enumerate(lines, start=1):
        if isinstance(line, Damage):
            yield Verdict(number, "rejected", line.detail, UnparsableEventError.code)
        elif line.strip():
            yield _verdict(number, line.removeprefix(_BOM) if number == 1 else line, parser)


def split_record(line: bytes) -> tuple[bytes | None, bytes]:
    """Key and value of a line: one JSON event, or key, tab, value; the key `null` is none.

    JSON text holds no raw tab within its strings but may hold one between its members, so a line that is JSON as a
    whole is a value, and a key that is JSON ends at the first tab that leaves it whole.
    """
    record = line.rstrip(b"\r\n")
    if b"\t" not in record or _is_json(record):
        return None, record
    ends = _tabs(record)
    if record.lstrip()[:1] in {b"{", b"["}:
        ends = [end for end in ends if _is_json(record[:end])][:1]
        if not ends:
            return None, record
    key, value = record[: ends[0]], record[ends[0] + 1 :]
    return (None if key in {b"", b"null"} else key), value


def read_lines(stream: BufferedIOBase) -> Iterator[bytes | Damage]:
    """The lines of a file, split at line feeds only, at most `MAX_LINE_BYTES` held; damaged compression ends it."""
    while True:
        try:
            line = stream.readline(MAX_LINE_BYTES + 1)
            if len(line) > MAX_LINE_BYTES:
                _skip_rest_of_line(stream, line)
                yield Damage(f"the line is longer than {MAX_LINE_BYTES} bytes")
                continue
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            yield Damage(f"the file's compression is damaged from here on: {error}")
            return
        if not line:
            return
        yield line


@app.callback()
def group() -> None:
    """Change events: check files of them before you send them."""


@app.command()
def check(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="Files of events, gzipped or not; `-` is standard input. One JSON event a line, or key, tab, value.",
            metavar="FILE",
        ),
    ],
    mapping: Annotated[
        Path | None, typer.Option(help="Mapping file; without one, conventional column names are taken.")
    ] = None,
    tenant: Annotated[str, typer.Option(help="Tenant of events and rows that name none.")] = "default",
    *,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the summary only.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a record.")] = False,
) -> None:
    """Say what would become of each event in FILE, and why.

    The last line is one JSON object with the counts. Exit code 1 where a record would be rejected.
    """
    try:
        tenant_id(tenant)
    except InvalidEventError as error:
        raise ConfigurationError(f"--tenant: {error}") from error
    missing = [str(path) for path in files if path != _STANDARD_INPUT and not path.is_file()]
    if missing:
        raise ConfigurationError(f"no such file: {_printable(', '.join(missing))}")
    parser = EventParser(load_mapping(mapping, tenant), tenant)
    _write_any_text(sys.stdout)
    summary = Summary()
    for path in files:
        if len(files) > 1 and not quiet and not as_json:
            print(_printable(str(path)))
        with _opened(path) as stream:
            for verdict in verdicts(read_lines(stream), parser):
                summary.count(verdict.outcome)
                if not quiet:
                    print(verdict.to_json() if as_json else verdict.to_text())
    print(json.dumps(asdict(summary), separators=(",", ":")))
    if summary.rejected:
        raise typer.Exit(EXIT_REJECTED)


def _verdict(number: int, line: bytes, parser: EventParser) -> Verdict:
    key, value = split_record(line)
    try:
        parsed = parser.parse(key, value)
    except PoisonError as error:
        return Verdict(number, "rejected", str(error), error.code)
    if isinstance(parsed, Ignored):
        return Verdict(number, "ignored", parsed.reason)
    detail = "; ".join(_described(event) for event in parsed.events)
    return Verdict(number, "delete" if parsed.is_delete else "change", detail, events=parsed.events)


def _described(event: ChangeEvent) -> str:
    head = f"{event.key} {event.facet} at {event.version}"
    if event.fields is None:
        return f"{head}: deleted"
    given = ", ".join(event.fields) or "no fields"
    kept = f" (kept as they were: {', '.join(sorted(event.unavailable))})" if event.unavailable else ""
    return f"{head}: {given}{kept}"


def _event_to_json(event: ChangeEvent) -> dict[str, object]:
    return {
        "tenant": event.key.tenant,
        "sku": event.key.sku,
        "facet": event.facet,
        "op": "delete" if event.is_delete else "upsert",
        "version": event.version.to_json(),
        "fields": event.fields,
        "unavailable": sorted(event.unavailable),
        "changed_at": event.changed_at_us,
    }


@contextmanager
def _opened(path: Path) -> Iterator[BufferedIOBase]:
    with BufferedReader(cast("RawIOBase", sys.stdin.buffer)) if path == _STANDARD_INPUT else path.open("rb") as raw:
        if not raw.peek(len(_GZIP_MAGIC)).startswith(_GZIP_MAGIC):
            yield raw
            return
        with gzip.open(raw, "rb") as unpacked:
            yield unpacked


def _skip_rest_of_line(stream: BufferedIOBase, start: bytes) -> None:
    part = start
    while part and not part.endswith(b"\n"):
        part = stream.readline(MAX_LINE_BYTES)


def _is_json(raw: bytes) -> bool:
    try:
        orjson.loads(raw)
    except orjson.JSONDecodeError:
        return False
    return True


def _tabs(record: bytes) -> list[int]:
    ends: list[int] = []
    start = record.find(b"\t")
    while start >= 0 and len(ends) < _KEY_TABS:
        ends.append(start)
        start = record.find(b"\t", start + 1)
    return ends


def _printable(text: str) -> str:
    """Text that keeps its line: control characters and their like are escaped."""
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


def _write_any_text(stream: object) -> None:
    """A terminal that lacks a letter gets it escaped instead of failing."""
    if isinstance(stream, TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")
