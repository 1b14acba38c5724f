"""The publish lock: a batch writes, publishes and commits under it, and a partition revocation takes it away.

Kafka calls the rebalance listener before the group rejoins and waits for it. The listener gives the batch in progress
a grace to finish and commit; after that it ends the lease, and the batch stops at its next effect. The lock is never
held while records are polled, so the listener cannot wait for something that waits for the listener (aiokafka's
documented deadlock).

A batch that was polled before a revocation can come to the lock after it, and must not work under a right that was
taken away in between. So the lease counts from the moment at which the batch asks, not from when the lock is free, and
between a revocation and the next assignment there is no lease at all.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from indexer.ports import LeaseLostError


class _LockLease:
    """A lease that ends when its lock's revocations move on."""

    def __init__(self, lock: PublishLock, revocations: int) -> None:
        self._lock = lock
        self._revocations = revocations

    def check(self) -> None:
        """Return while no revocation came since the lease began."""
        if self._lock.revocations != self._revocations:
            raise LeaseLostError


class PublishLock:
    """At most one batch holds it; a revocation ends the batch's lease once its grace is over."""

    def __init__(self) -> None:
        self._busy = asyncio.Lock()
        self._revoked = False
        self.revocations = 0

    @asynccontextmanager
    async def hold(self) -> AsyncIterator[_LockLease]:
        """Hold the lock for one batch; what is yielded says whether the right is still there.

        Raises:
            LeaseLostError: the partitions were revoked before the batch got the lock.
        """
        lease = _LockLease(self, self.revocations)
        if self._revoked:
            raise LeaseLostError
        async with self._busy:
            lease.check()
            yield lease

    async def revoke(self, grace_s: float) -> bool:
        """Let the batch in progress finish for up to `grace_s` seconds, then end its lease. True if it had finished."""
        finished = True
        try:
            async with asyncio.timeout(grace_s), self._busy:
                pass
        except TimeoutError:
            finished = False
        self.revocations += 1
        self._revoked = True
        return finished

    def grant(self) -> None:
        """A new assignment: batches that are polled from now on may work."""
        self._revoked = False
