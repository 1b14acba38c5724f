"""Snapshots on a schedule, beside the running tailer: one an interval over all replicas that share the store.

When the next one is due is read from the store, not remembered: a replica that restarts takes none too many, and of
several replicas the first to wake up does the work, the others find it done. Two that wake up together take one each,
which costs an upload and nothing else.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final, Protocol

import structlog

from query_api.replica.settings import SnapshotSettings
from query_api.replica.snapshots.create import create_snapshot, newest_of_kind, prune_snapshots
from query_api.replica.snapshots.store import SnapshotStore
from runtime.clock import SYSTEM_CLOCK, Clock
from schemas.errors import FerrofluxError

log = structlog.get_logger(__name__)

_LOOK_AGAIN_S: Final = 5.0
_AFTER_FAILURE_S: Final = 60.0
_SPREAD: Final = 0.05
"""Share of the interval by which replicas that started together come apart."""


class SnapshotMetrics(Protocol):
    """Where the schedule counts."""

    def snapshot_taken(self, created_us: int) -> None:
        """A snapshot was taken, by this replica or by another of the same store, microseconds since 1970."""
        ...

    def snapshot_failed(self) -> None:
        """One could not be taken."""
        ...


class SnapshotSchedule:
    """Takes snapshots of one replica for as long as `run` runs; `log_of_replica` gives its log's id once it is whole."""

    def __init__(
        self,
        directory: Path,
        settings: SnapshotSettings,
        *,
        topic: str,
        log_of_replica: Callable[[], str | None],
        metrics: SnapshotMetrics,
        rng: random.Random,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._directory = directory
        self._settings = settings
        self._store = SnapshotStore(settings.url)
        self._topic = topic
        self._log_of_replica = log_of_replica
        self._metrics = metrics
        self._rng = rng
        self._clock = clock

    async def run(self) -> None:
        """Take one whenever it is due, until cancelled. A store that is away, or a full disk, costs a warning and is tried again."""
        while True:
            try:
                rest_s = await self.turn()
            except (FerrofluxError, OSError) as error:  # a full disk must not end the replica, which needs no snapshot
                self._metrics.snapshot_failed()
                rest_s = min(_AFTER_FAILURE_S, self._settings.interval_s)
                log.warning("no snapshot could be taken", reason=str(error), again_in_s=round(rest_s))
            await asyncio.sleep(rest_s)

    async def turn(self) -> float:
        """Take a snapshot if one is due; returns the seconds until it is worth looking again.

        Raises:
            FerrofluxError, OSError: it could not be taken.
        """
        log_id = self._log_of_replica()
        if log_id is None:
            return _LOOK_AGAIN_S
        newest = await asyncio.to_thread(newest_of_kind, self._store, topic=self._topic, log_id=log_id)
        due_us = 0 if newest is None else newest.created_us + int(self._settings.interval_s * 1e6)
        if newest is None or self._clock.now_us() >= due_us:
            newest = await asyncio.to_thread(partial(create_snapshot, self._directory, self._store, topic=self._topic))
            await asyncio.to_thread(partial(prune_snapshots, self._store, newest, keep=self._settings.keep))
            due_us = newest.created_us + int(self._settings.interval_s * 1e6)
        self._metrics.snapshot_taken(newest.created_us)
        spread = self._rng.uniform(0, _SPREAD * self._settings.interval_s)
        return max(0.0, (due_us - self._clock.now_us()) / 1e6) + spread
