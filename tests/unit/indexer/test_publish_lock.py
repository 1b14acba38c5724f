"""The publish lock at a rebalance: who may go on, and who must not begin."""

import asyncio

import pytest

from indexer.consuming.publish_lock import PublishLock
from indexer.ports import LeaseLostError


async def test_a_batch_that_was_polled_before_a_revocation_does_not_work_under_the_right_of_after() -> None:
    lock, first_done = PublishLock(), asyncio.Event()

    async def first() -> None:
        async with lock.hold():
            await first_done.wait()

    async def second() -> None:
        async with lock.hold():
            raise AssertionError("it was polled before the revocation")

    working = asyncio.create_task(first())
    await asyncio.sleep(0)
    revoking = asyncio.create_task(lock.revoke(1.0))
    await asyncio.sleep(0)
    waiting = asyncio.create_task(second())
    await asyncio.sleep(0)
    first_done.set()
    assert await revoking
    await working
    with pytest.raises(LeaseLostError):
        await waiting


async def test_between_a_revocation_and_the_next_assignment_there_is_no_lease() -> None:
    lock = PublishLock()
    await lock.revoke(0.1)
    with pytest.raises(LeaseLostError):
        async with lock.hold():
            raise AssertionError
    lock.grant()
    async with lock.hold() as lease:
        lease.check()
