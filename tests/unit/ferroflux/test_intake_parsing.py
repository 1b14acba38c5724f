"""A body is read member by member, refused with places and reasons, and costs no more than its largest member."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap

import orjson
import pytest

from ferroflux.embedded.intake import parsing
from ferroflux.embedded.intake.parsing import MAX_MEMBER_BYTES, ChangeReader, InvalidChangesError, ParsedChanges
from ferroflux.embedded.intake.splitting import MAX_MARKS, DocumentSplitter, LineSplitter, Member
from schemas.api.limits import MAX_CHANGE_BYTES, MAX_CHANGES, MAX_REPORTED
from schemas.errors import InvalidRequestError
from schemas.events.canonical import parse_canonical
from schemas.identity import TenantId

GOOD = b'{"tenant":"t","sku":"A","version":1,"fields":{"title":"x"}}'


def read(body: bytes, *, lines: bool, piece: int = 1 << 30) -> ParsedChanges:
    reader = ChangeReader(lines=lines, default_tenant=TenantId("default"))
    for start in range(0, len(body), piece):
        reader.feed(body[start : start + piece])
    return reader.end()


def split(splitter: LineSplitter | DocumentSplitter, body: bytes, piece: int) -> list[Member]:
    members = [m for start in range(0, len(body), piece) for m in splitter.feed(body[start : start + piece])]
    return members + list(splitter.end())


@pytest.mark.parametrize("piece", [1, 7, 1 << 20])
@pytest.mark.parametrize(
    ("body", "lines"),
    [
        (GOOD + b"\n\n" + GOOD, True),
        (GOOD + b"\r\n \r\n" + GOOD + b"\r\n", True),
        (b" [" + GOOD + b" ,\n" + GOOD + b"]\n", False),
        (b"\n" + GOOD, False),
    ],
)
def test_a_body_is_lines_or_a_list_or_one_event(body, lines, piece) -> None:
    parsed = read(body, lines=lines, piece=piece)
    assert {change.key for change in parsed.changes} == {b"t/A"}
    assert len(parsed.changes) == body.count(b"sku")
    assert parsed.tenants == {"t"}


@pytest.mark.parametrize("piece", [1, 2, 3, 5, 64])
def test_a_list_is_cut_only_between_its_members(piece) -> None:
    members = ['a,"]}\\', [1, [2, {"b": "[,"}]], {"c": 'd\\"', "e": ["\\\\", {}]}, -1.5e3, None, "", {}, []]
    body = json.dumps(members, indent=1).encode()
    found = split(DocumentSplitter(1000), body, piece)
    assert [member.place for member in found] == list(range(1, len(members) + 1))
    assert [orjson.loads(member.raw or b"") for member in found] == members


@pytest.mark.parametrize(
    "body", [b"[1}", b"[1] 2", b"[1", b'["a', b"[[1]", b"[" + GOOD + b",]", b"[,1]", b"[", b"]", b"hello"]
)
def test_a_list_that_is_none_is_refused(body) -> None:
    with pytest.raises(InvalidRequestError, match="not JSON"):
        read(body, lines=False)


def test_one_bad_event_refuses_the_request_and_names_its_line() -> None:
    body = b"\n".join([GOOD, b"", b"{", b'{"sku":"A"}', b"[]", GOOD])
    with pytest.raises(
        InvalidChangesError, match="3 of 5 events break the contract, none was taken; line 3"
    ) as refused:
        read(body, lines=True)
    assert [wrong.field for wrong in refused.value.errors] == ["3", "4", "5"]


def test_lines_that_are_sent_as_one_document_are_told_their_media_type() -> None:
    with pytest.raises(InvalidRequestError, match="application/x-ndjson"):
        read(GOOD + b"\n" + GOOD, lines=False)


@pytest.mark.parametrize("body", [b"", b"[]", b" \n", b"\n".join([GOOD] * (MAX_CHANGES + 1))])
def test_nothing_and_too_much_are_refused(body) -> None:
    with pytest.raises(InvalidRequestError, match="holds"):
        read(body, lines=body[:1] != b"[")


def test_reading_ends_with_the_most_faults_that_are_named() -> None:
    taken = []

    class Watched(bytes):
        def find(self, *arguments):
            taken.append(1)
            return bytes.find(self, *arguments)

    reader = ChangeReader(lines=True, default_tenant=TenantId("default"))
    with pytest.raises(
        InvalidChangesError, match=r"20 of the first 21 events .* what follows was not looked at"
    ) as refused:
        reader.feed(Watched(GOOD + b"\n" + b"ab\n" * 100_000))
    assert len(refused.value.errors) == MAX_REPORTED
    assert len(taken) == MAX_REPORTED + 1


@pytest.mark.parametrize(("body", "reason"), [(b"[" * 100, "deep"), (b'[["",' + b'"",' * MAX_MARKS, "texts, lists")])
def test_a_list_of_events_has_a_depth_and_a_width(body, reason) -> None:
    with pytest.raises(InvalidRequestError, match=reason):
        read(body, lines=False)


@pytest.mark.parametrize("lines", [True, False])
def test_an_event_that_is_too_long_is_one_wrong_event(lines) -> None:
    long = b'{"fields":"' + b"x" * MAX_MEMBER_BYTES + b'"}'
    body = b"\n".join([GOOD, long, GOOD]) if lines else b"[" + b",".join([GOOD, long, GOOD]) + b"]"
    with pytest.raises(InvalidChangesError, match=r"1 of 3 events .* 2: is longer than") as refused:
        read(body, lines=lines, piece=65_536)
    assert [wrong.field for wrong in refused.value.errors] == ["2"]


def test_an_event_that_is_longer_than_the_log_takes_is_refused_by_its_bytes() -> None:
    attributes = {f"a{n}": "x" * 2_000 for n in range(290)} | {"b": "\N{LATIN SMALL LETTER N WITH TILDE}" * 2_000}
    fields = {"title": "x", "description": "\N{SNOWMAN}" * 100_000, "attributes": attributes}
    event = orjson.dumps({"tenant": "t", "sku": "A", "version": 1, "fields": fields})
    assert MAX_CHANGE_BYTES > len(event) > MAX_CHANGE_BYTES - 30_000
    assert len(read(event, lines=True).changes) == 1
    fields["bullets"] = ["x" * 1_990 + str(n) for n in range(20)]
    with pytest.raises(InvalidChangesError, match="more than 900000"):
        read(orjson.dumps({"tenant": "t", "sku": "A", "version": 1, "fields": fields}), lines=True)


@pytest.mark.parametrize("member", ["title", "attributes", "image", "attributes.x"])
@pytest.mark.parametrize("deep", ["[" * 1000 + "]" * 1000, '{"a":' * 1000 + "1" + "}" * 1000])
def test_an_event_that_is_nested_is_a_wrong_event_wherever_it_is(member, deep) -> None:
    bodies = [f'{{"sku":"A","version":1,"fields":{{"title":"x","{member}":{deep}}}}}']
    bodies += [f'{{"sku":"A","version":1,"fields":{{}},"{name}":{deep}}}' for name in ("op", "facet", "unavailable")]
    with pytest.raises(InvalidChangesError, match="4 of 5 events") as refused:
        read("\n".join([*bodies, GOOD.decode()]).encode(), lines=True)
    assert not any("defect" in wrong.detail for wrong in refused.value.errors)


def test_an_event_that_shows_a_defect_of_ours_is_named_and_the_others_are_still_looked_at(monkeypatch) -> None:
    def defective(raw, tenant):
        return parse_canonical(raw, tenant) if raw["sku"] == "A" else 1 / 0

    monkeypatch.setattr(parsing, "parse_canonical", defective)
    with pytest.raises(InvalidChangesError, match=r"1 of 3 events .* line 2: cannot be read, by a defect of ours"):
        read(b"\n".join([GOOD, GOOD.replace(b'"A"', b'"B"'), GOOD]), lines=True)


GARBAGE = {
    "lines of two letters": (True, r'b"ab\n" * (N // 3)'),
    "empty lines": (True, r'b"\n" * N'),
    "one endless line": (True, r'b"x" * N'),
    "one line of empty lists": (True, r'b"[" + b"[]," * (N // 3)'),
    "two lines of empty lists": (True, r'(b"[" + b"[]," * (N // 6) + b"[]]\n") * 2'),
    "two lines of objects": (True, r'(b"[" + b"{}," * (N // 6) + b"{}]\n") * 2'),
    "a line of numbers": (True, r'b"[" + b"300," * (N // 4) + b"1]"'),
    "numbers in the place of a text": (True, r"""b'{"sku":"A","fields":{"title":[' + b"3.5," * (N // 4) + b"1]}}" """),
    "not UTF-8": (True, r'b"\xff\xfe" * (N // 2)'),
    "lists in a list": (False, r'b"[" + b"[]," * (N // 3) + b"[]]"'),
    "objects in a member": (False, r"""b'[{"fields":[' + b"{}," * (N // 6) + b'{}]}]'"""),
    "members of a member": (False, r"""b'[{' + b",".join(b'"%d":[]' % n for n in range(N // 22)) + b'}]'"""),
    "deep lists": (False, r'b"[" * N'),
    "deep objects": (False, r"""b'[' + b'{"a":' * (N // 5)"""),
    "commas": (False, r'b"[" + b"," * N'),
    "quotes": (False, r"""b'[' + b'"' * N"""),
    "backslashes in a text": (False, r"""b'["' + b'\\' * N"""),
    "numbers": (False, r'b"[" + b"1," * (N // 2)'),
    "a number": (False, r'b"1" * N'),
}
"""Kinds of two megabytes: whether they are sent as lines, and the expression that makes them in the measured process."""

_PROBE = r"""
    import re
    from pathlib import Path
    from ferroflux.embedded.intake.parsing import ChangeReader
    from schemas.errors import InvalidRequestError
    from schemas.identity import TenantId
    N = 2_000_000
    def peak():
        return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1])
    def read(body, lines):
        reader = ChangeReader(lines=lines, default_tenant=TenantId("default"))
        for start in range(0, len(body), 65_536):
            reader.feed(body[start:start + 65_536])
        reader.end()
    bodies = {%s}
    before = peak()
    for name, (lines, body) in bodies.items():
        try:
            read(body(), lines)
        except InvalidRequestError:
            print(name, (peak() - before) // 1024)
"""


@pytest.mark.slow
def test_two_megabytes_of_garbage_are_refused_within_64_megabytes() -> None:
    """All kinds in one process: their highest is the highest of any. What the system gave counts, the allocator's slack included.

    The peak is the kernel's of this program; that of `getrusage` would begin with the parent's.
    """
    bodies = ", ".join(f"{name!r}: ({lines}, lambda: {body})" for name, (lines, body) in GARBAGE.items())
    code = textwrap.dedent(_PROBE) % bodies
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    raised = {line.rpartition(" ")[0]: int(line.rpartition(" ")[2]) for line in done.stdout.splitlines()}
    assert raised.keys() == GARBAGE.keys(), done.stdout
    assert max(raised.values()) < 64, raised
