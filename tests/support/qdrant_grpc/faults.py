"""Failures on demand: which method fails next, how, and how often."""

import asyncio
from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum

import grpc
import orjson

CONTROL_METHOD = "/ferroflux.testing.Faults/Inject"


class Fault(StrEnum):
    UNAVAILABLE_BEFORE = "unavailable_before"
    """Refuse the call; nothing takes effect."""
    UNAVAILABLE_AFTER = "unavailable_after"
    """Take effect, then lose the answer."""
    HALF = "half"
    """Apply the first half of the points, then refuse."""
    SLOW_BEFORE = "slow_before"
    """Wait `delay_s`, then act: past the caller's deadline, the effect comes later than the caller thinks."""
    SLOW_AFTER = "slow_after"
    """Act at once, answer after `delay_s`."""
    IGNORE = "ignore"
    """Answer COMPLETED and do nothing."""
    WAIT_TIMEOUT = "wait_timeout"
    """Answer WAIT_TIMEOUT and do nothing yet."""
    INTERNAL = "internal"
    UNAUTHENTICATED = "unauthenticated"


@dataclass
class Injected:
    fault: Fault
    times: int
    delay_s: float


@dataclass
class Gate:
    """Holds one call of a method before its effect until the test opens it."""

    reached: asyncio.Event = field(default_factory=asyncio.Event)
    opened: asyncio.Event = field(default_factory=asyncio.Event)


class Faults:
    """The failures still to come, by method name (`UpdateBatch`, `Get`, `Query`, ...)."""

    def __init__(self) -> None:
        self._waiting: dict[str, deque[Injected]] = {}
        self._gates: dict[str, deque[Gate]] = {}
        self.calls: dict[str, int] = {}

    def inject(self, method: str, fault: Fault, *, times: int = 1, delay_s: float = 0.0) -> None:
        self._waiting.setdefault(method, deque()).append(Injected(fault, times, delay_s))

    def hold(self, method: str) -> Gate:
        gate = Gate()
        self._gates.setdefault(method, deque()).append(gate)
        return gate

    def clear(self) -> None:
        self._waiting.clear()

    def take(self, method: str) -> Injected | None:
        self.calls[method] = self.calls.get(method, 0) + 1
        waiting = self._waiting.get(method)
        if not waiting:
            return None
        injected = waiting[0]
        injected.times -= 1
        if injected.times <= 0:
            waiting.popleft()
        return injected

    async def pass_gate(self, method: str) -> None:
        gates = self._gates.get(method)
        if gates:
            gate = gates.popleft()
            gate.reached.set()
            await gate.opened.wait()

    async def control(self, request: bytes, _context: grpc.aio.ServicerContext) -> bytes:
        """The generic method by which another process injects: a JSON object, or an empty body to clear."""
        if not request:
            self.clear()
            return b"{}"
        wanted = orjson.loads(request)
        self.inject(wanted["method"], Fault(wanted["fault"]), times=wanted["times"], delay_s=wanted["delay_s"])
        return b"{}"


class RemoteFaults:
    """Injects into a stand-in that runs in another process."""

    def __init__(self, port: int) -> None:
        self._target = f"127.0.0.1:{port}"

    async def inject(self, method: str, fault: Fault, *, times: int = 1, delay_s: float = 0.0) -> None:
        body = {"method": method, "fault": fault.value, "times": times, "delay_s": delay_s}
        await self._send(orjson.dumps(body))

    async def clear(self) -> None:
        await self._send(b"")

    async def _send(self, body: bytes) -> None:
        async with grpc.aio.insecure_channel(self._target) as channel:
            await channel.unary_unary(CONTROL_METHOD)(body)
