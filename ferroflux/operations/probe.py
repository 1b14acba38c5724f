"""The prober: changes a product of the reserved tenant and asks the API until an answer shows the change.

The product is a real one to every part (log, inference, vector index, replica, API) and nobody's to every caller: the
tenant is in no list of tenants and in no count, and a search of another tenant cannot find it. At the end it is deleted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Final, Self

import httpx

from ferroflux.http_client import problem_sentence
from ferroflux.ingest.convert import EncodedEvent
from ferroflux.ingest.targets import ChangeTarget
from retrieval.serving.freshness import percentiles
from runtime.clock import SYSTEM_CLOCK, Clock
from schemas.api.status import Percentiles
from schemas.errors import InvalidRequestError, NotReadyError
from schemas.identity import PROBE_TENANT, SkuKey
from schemas.normalisers import FieldValue
from schemas.product.changes import ITEM_FACET, ChangeEvent, FacetKey
from schemas.product.fields import normalise_fields
from schemas.version import SourceVersion

_LOOK_EVERY_S: Final = 0.005
_REQUEST_S: Final = 10.0


class UnseenError(NotReadyError):
    """A change of the probe did not become visible in time. `ferroflux status` shows the replica's lag, the indexer's /readyz its own."""

    code = "probe_unseen"


class Prober:
    """One synthetic product and the API that shows it. An async context manager: it ends with the product's deletion."""

    def __init__(
        self,
        target: ChangeTarget,
        url: str,
        *,
        api_key: str = "",
        sku: str,
        timeout_s: float,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        headers = {"authorization": f"Bearer {api_key}"} if api_key else {}
        self._target = target
        self._api = httpx.AsyncClient(base_url=url, headers=headers, timeout=_REQUEST_S)
        self._key = SkuKey.of(PROBE_TENANT, sku)
        self._timeout_s = timeout_s
        self._clock = clock
        self._changes = 0

    async def __aenter__(self) -> Self:
        await self._target.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._changes:
                await self._send(ITEM_FACET, None, self._clock.now_us())
        finally:
            await self._api.aclose()
            await self._target.__aexit__(kind, error, trace)

    async def change_text(self) -> Passage:
        """Give the product another title, which costs inference, and wait until it shows.

        Raises:
            UnseenError: it was not visible in time.
            FerrofluxError: the change was not taken, or the API refuses to answer.
        """
        self._changes += 1
        title = f"ferroflux probe {self._changes} {self._clock.now_us()}"
        return await self._change(ITEM_FACET, {"title": title, "unit": "probe"})

    async def change_price(self) -> Passage:
        """Give the product another price, which costs none. Raises as `change_text` does."""
        self._changes += 1
        return await self._change(FacetKey("price"), {"price": float(self._changes), "currency": "XXX"})

    async def _change(self, facet: FacetKey, fields: dict[str, FieldValue]) -> Passage:
        changed_us = self._clock.now_us()
        # An intake answers when the change is durable, which is not what is measured: the looking begins at once.
        sending = asyncio.create_task(self._send(facet, fields, changed_us))
        try:
            async with asyncio.timeout(self._timeout_s):
                while True:
                    passage = await self._look(changed_us)
                    if passage is not None:
                        await sending
                        return passage
                    if sending.done():
                        sending.result()
                    await asyncio.sleep(_LOOK_EVERY_S)
        except TimeoutError as error:
            raise UnseenError(
                f"the change of {self._key} was not visible after {self._timeout_s:g} s: `ferroflux status` shows "
                "the replica's lag, the indexer's /readyz its own"
            ) from error
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    async def _look(self, changed_us: int) -> Passage | None:
        try:
            reply = await self._api.get(f"/v1/items/{self._key.sku}", params={"tenant": self._key.tenant})
        except httpx.TransportError:
            return None  # a worker that restarts: what counts is when the change is seen, or that it is not
        seen_us = self._clock.now_us()
        if reply.status_code in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
            raise InvalidRequestError(
                f"{problem_sentence(reply)}: where the API asks for keys, {PROBE_TENANT} needs one of its own"
            )
        if not reply.is_success:
            return None
        item = reply.json()
        return Passage.of(item, changed_us, seen_us) if micros(item.get("changed_at")) >= changed_us else None

    async def _send(self, facet: FacetKey, fields: dict[str, FieldValue] | None, changed_us: int) -> None:
        normal = None if fields is None else normalise_fields(facet, fields)
        event = ChangeEvent(self._key, facet, SourceVersion.of(changed_us), normal, changed_at_us=changed_us)
        await self._target.send([EncodedEvent.of(event)])


STAGES: Final = ("log", "index", "commit", "visible", "total")
"""Commit to Kafka, Kafka to the vector index, index to the replica's commit, commit to the first answer, and all of it."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Passage:
    """When one change was where, microseconds since 1970; `seen_us` is the end of the first answer that showed it."""

    changed_us: int
    logged_us: int
    indexed_us: int
    committed_us: int
    seen_us: int

    @classmethod
    def of(cls, item: Mapping[str, Any], changed_us: int, seen_us: int) -> Passage:
        """From the API's answer; a time that it does not know is 0."""
        return cls(
            changed_us=changed_us,
            logged_us=micros(item.get("logged_at")),
            indexed_us=micros(item.get("indexed_at")),
            committed_us=micros(item.get("visible_at")),
            seen_us=seen_us,
        )

    def stages_ms(self) -> dict[str, float]:
        """Milliseconds of each stage whose both ends are known; clocks that differ give 0 rather than less."""
        ends = {
            "log": (self.changed_us, self.logged_us),
            "index": (self.logged_us, self.indexed_us),
            "commit": (self.indexed_us, self.committed_us),
            "visible": (self.committed_us, self.seen_us),
            "total": (self.changed_us, self.seen_us),
        }
        return {stage: max(0, end - begin) / 1000 for stage, (begin, end) in ends.items() if begin and end}


def summarise(passages: Sequence[Passage]) -> dict[str, Percentiles]:
    """Nearest-rank percentiles of each stage, milliseconds; stages without a measurement are left out."""
    rows = [passage.stages_ms() for passage in passages]
    found = {stage: percentiles([row[stage] for row in rows if stage in row]) for stage in STAGES}
    return {stage: measured for stage, measured in found.items() if measured is not None}


def micros(instant: str | None) -> int:
    """An instant of the API as microseconds since 1970; 0 where there is none."""
    if not instant:
        return 0
    return (datetime.fromisoformat(instant) - _EPOCH) // timedelta(microseconds=1)
