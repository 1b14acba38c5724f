"""A body into its members, one at a time as its bytes come: the lines of JSON lines, or the elements of a JSON list. Pure.

Nothing is decoded here. A member is held only until its end is seen, and no longer than a member may be, so what a body
costs follows from its largest member, whatever its nesting; the decoder then sees one member at a time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final, Protocol

from schemas.errors import InvalidRequestError


@dataclass(frozen=True, slots=True)
class Member:
    """One member as it was sent. `place` is its line, or its place in the list, from 1; `raw` is None where it is too long."""

    place: int
    raw: bytes | None


_NOT_BLANK: Final = re.compile(rb"[^ \t\r\n]")


class Splitter(Protocol):
    """Splits one body, piece by piece."""

    place_name: str
    """What a member's place counts: "line" or "event"."""

    def feed(self, piece: bytes) -> Iterator[Member]:
        """The members that end in this piece. It is read as far as members are taken, so take them all or stop for good.

        Raises:
            InvalidRequestError: the body is of another form.
        """
        ...

    def end(self) -> Iterator[Member]:
        """The member that the end of the body ends, where there is one. Raises as `feed` does."""
        ...


def _beginning(piece: bytes, position: int) -> int:
    """Where something other than blanks begins, from this position on; the piece's end where nothing does."""
    found = _NOT_BLANK.search(piece, position)
    return len(piece) if found is None else found.start()


@dataclass(slots=True)
class _Held:
    """The bytes of the member that is being read, until they are too many."""

    limit: int
    _bytes: bytearray = field(default_factory=bytearray)
    _too_long: bool = False

    def keep(self, piece: bytes, start: int, end: int) -> None:
        if self._too_long or len(self._bytes) + end - start > self.limit:
            self._too_long = True
            self._bytes.clear()
        else:
            self._bytes += memoryview(piece)[start:end]

    @property
    def is_empty(self) -> bool:
        return not self._too_long and not self._bytes

    def take(self) -> bytes | None:
        raw = None if self._too_long else bytes(self._bytes)
        self._bytes.clear()
        self._too_long = False
        return raw


class LineSplitter:
    """JSON lines: a member a line; blank lines count and are none."""

    place_name = "line"

    def __init__(self, max_member_bytes: int) -> None:
        self._held = _Held(max_member_bytes)
        self._line = 1

    def feed(self, piece: bytes) -> Iterator[Member]:
        """The lines that end in this piece."""
        start = 0
        while start < len(piece):
            if self._held.is_empty:
                # Blanks before a member are no part of it, and a body of nothing but line ends is passed over at once.
                begin = _beginning(piece, start)
                self._line += piece.count(b"\n", start, begin)
                start = begin
            end = piece.find(b"\n", start)
            self._held.keep(piece, start, len(piece) if end < 0 else end)
            if end < 0:
                return
            yield from self.end()
            self._line += 1
            start = end + 1

    def end(self) -> Iterator[Member]:
        """The line that is being read, unless it is blank."""
        if not self._held.is_empty:
            yield Member(self._line, self._held.take())


MAX_DEPTH: Final = 64
"""Brackets in one another; an event needs five."""

MAX_MARKS: Final = 20_000
"""Quotes and brackets of one event: ten times what the widest product has."""


class ShapeError(InvalidRequestError):
    """An event is nested too deep, or holds too many values, to be a product's. Send one change of one product an event."""


def require_shape(raw: bytes) -> None:
    """Refuse to decode what would become a great many small objects: a list of empty lists takes 25 times its bytes.

    Raises:
        ShapeError: it is too deep or too wide.
    """
    if raw.count(b"[") + raw.count(b"{") > MAX_MARKS // 2:  # where all of them are brackets, and not letters of a text
        walk = DocumentSplitter(len(raw) + 1)
        for _ in walk.feed(b"[" + raw):
            pass


class _At(Enum):
    """Where in the document the next byte lies."""

    START = auto()
    ALONE = auto()
    """In a document that is no list: all of it is one member."""
    LIST = auto()
    """In a list, between the beginning and the end of members."""
    TEXT = auto()
    """In a text inside a list, where brackets mean nothing."""
    END = auto()


_MARKS: Final = re.compile(rb'["\[\]{},]')
_MARKS_INSIDE: Final = re.compile(rb'["\[\]{}]')
"""Inside a member commas separate nothing of ours, and there are more of them than of anything else."""
_TEXT_MARKS: Final = re.compile(rb'"|\\+')
_OPENING: Final = frozenset(b"[{")
_QUOTE, _COMMA, _LIST_END, _LIST_START = b'",]['


class DocumentSplitter:
    """A JSON document: the elements of a list, or the one value that it is.

    It looks at quotes, brackets and the commas between members, no more; whether a member is JSON, its decoder sees.
    """

    place_name = "event"

    def __init__(self, max_member_bytes: int) -> None:
        self._held = _Held(max_member_bytes)
        self._at = _At.START
        self._depth = 0
        self._place = 1
        self._marks = 0
        """Of the member that is being read."""
        self._escaped = False
        """Whether the piece before ended in a text's backslash, so that the next byte means nothing."""

    @property
    def is_list(self) -> bool:
        """Whether the document is a list, as far as it was read."""
        return self._at not in {_At.START, _At.ALONE}

    def feed(self, piece: bytes) -> Iterator[Member]:
        """The members that end in this piece."""
        position = 0
        if self._at is _At.START:
            position = self._begin(piece)
        if self._at is _At.ALONE:
            self._held.keep(piece, position, len(piece))
            return
        start = position  # of what this piece has of the member
        while position < len(piece):
            if self._at is _At.END:
                if _beginning(piece, position) < len(piece):
                    raise InvalidRequestError("the body is not JSON: something follows the end of the list")
                return
            if self._at is _At.TEXT:
                position = self._through_text(piece, position)
                continue
            found = (_MARKS if self._depth == 1 else _MARKS_INSIDE).search(piece, position)
            if found is None:
                break
            position = found.end()
            mark = piece[found.start()]
            self._count(mark)
            if mark == _COMMA or not self._depth:
                self._held.keep(piece, start, found.start())
                yield from self._member(mark)
                start = position
        if self._at is not _At.END:
            self._held.keep(piece, start, len(piece))

    def end(self) -> Iterator[Member]:
        """The document itself, where it is no list."""
        if self._at is _At.ALONE:
            yield Member(self._place, self._held.take())
        elif self._at is not _At.END and self._at is not _At.START:
            raise InvalidRequestError("the body is not JSON: the list is not closed")

    def _begin(self, piece: bytes) -> int:
        position = _beginning(piece, 0)
        if position == len(piece):
            return position
        if piece[position] != _LIST_START:
            self._at = _At.ALONE
            return position
        self._at, self._depth = _At.LIST, 1
        return position + 1

    def _through_text(self, piece: bytes, position: int) -> int:
        if self._escaped:
            self._escaped = False
            position += 1
        while (found := _TEXT_MARKS.search(piece, position)) is not None:
            position = found.end()
            if piece[found.start()] == _QUOTE:
                self._at = _At.LIST
                return position
            if (position - found.start()) % 2:  # the last backslash of the run takes the byte behind it
                position += 1
                self._escaped = position > len(piece)
        return len(piece)

    def _count(self, mark: int) -> None:
        self._marks += 1
        if self._marks > MAX_MARKS:
            raise ShapeError(f"event {self._place} holds more than {MAX_MARKS // 2} texts, lists and objects")
        if mark == _QUOTE:
            self._at = _At.TEXT
        elif mark in _OPENING:
            self._depth += 1
            if self._depth > MAX_DEPTH:
                raise ShapeError(f"event {self._place} is nested more than {MAX_DEPTH} deep")
        elif mark != _COMMA:
            self._depth -= 1

    def _member(self, mark: int) -> Iterator[Member]:
        """What ended at this mark: a member, or nothing in the list that is empty."""
        if mark not in {_COMMA, _LIST_END}:
            raise InvalidRequestError("the body is not JSON: a bracket closes what another opened")
        raw = self._held.take()
        if self._place > 1 or mark == _COMMA or raw is None or raw.strip():
            yield Member(self._place, raw)
        self._place += 1
        self._marks = 0
        if mark == _LIST_END:
            self._at = _At.END
