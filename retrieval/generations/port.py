"""Where the records of the generations lie: one place, changed in atomic steps."""

from __future__ import annotations

from typing import Protocol

from retrieval.generations.transitions import Transition
from retrieval.generations.view import GenerationView, Records
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
