"""Held versions in plain memory: the port's semantics, for tests."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Self

from ferroflux.ingest.held.versions import Held, Look, NotLookedError, Register
from schemas.product.sources import SourceHistory


class MemoryHeldVersions:
    """The port `HeldVersions` on a dictionary. `away` makes it one that cannot be reached."""

    def __init__(self, held: Mapping[Register, Held] | None = None, *, now_us: int | None = None) -> None:
        self.held: dict[Register, Held] = dict(held or {})
        self.now_us = now_us
        self.away = False
        self.looks: list[frozenset[Register]] = []
        self.sources = SourceHistory()

    async def look(self, registers: Collection[Register]) -> Look:
        """Look in the dictionary."""
        if self.away:
            raise NotLookedError
        self.looks.append(frozenset(registers))
        held = {register: self.held[register] for register in registers if register in self.held}
        places = {(key.tenant, facet) for key, facet in registers}
        return Look(held, self.now_us, {place: found for place in places if (found := self.sources.of(*place))})

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None
