"""Where the records of the generations lie: one place, changed in atomic steps."""

from __future__ import annotations

from typing import Protocol

from retrieval.generations.transitions import Transition
from retrieval.generations.view import GenerationView, Records, report_record, view_of
from schemas.records.generations import ReplicaReport


class GenerationStore(Protocol):
    """Every method may raise LogUnavailableError."""

    async def records(self) -> Records:
        """The newest value of every key; empty in a system that never had a generation beside `main`."""
        ...

    async def commit(self, transition: Transition) -> GenerationView:
        """Decide on the newest view and write the outcome, with nobody else in between; returns the view after it.

        Raises:
            GenerationRefusedError: the transition refused; nothing was written.
        """
        ...

    async def report(self, report: ReplicaReport) -> None:
        """Replace a replica's report."""
        ...


class MemoryGenerationStore:
    """The port `GenerationStore` on a dictionary; no method yields to the event loop, so each is atomic."""

    def __init__(self) -> None:
        self._records: dict[str, bytes] = {}

    async def records(self) -> Records:
        """The newest value of every key."""
        return dict(self._records)

    async def commit(self, transition: Transition) -> GenerationView:
        """Decide and write."""
        for key, value in transition(view_of(self._records)).items():
            if value is None:
                self._records.pop(key, None)
            else:
                self._records[key] = value
        return view_of(self._records)

    async def report(self, report: ReplicaReport) -> None:
        """Replace a replica's report."""
        self._records.update((report_record(report),))
