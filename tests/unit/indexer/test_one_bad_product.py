"""One bad product stops no other: at each stage it is set apart with its reason and buried, and many are a defect of ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from indexer.batch.batch import ENCODE, PLAN, PUBLISH, READ, WRITE
from indexer.batch.settling import PipelineLimits
from retrieval.vectors.memory import MemoryIndex
from retrieval.vectors.port import AnyVector, PointPayload, PointWrite
from runtime.isolation import DefectError
from schemas.errors import StoreRefusedError, StoreUnavailableError
from schemas.identity import SkuKey
from schemas.product.building import build_document
from schemas.product.merge import ItemState
from tests.support.indexing.fakes import CountingEncoder, DeadLetterLog, DocumentLog, event, make_pipeline, records_of

BAD = "BAD"
NAMES = ("A1", BAD, "B1", "C1", "D1")
LIMITS = PipelineLimits(slice_products=4, slices_in_flight=2, embed_chunk=3, plan_slice=2)


class Index(MemoryIndex):
    """A store that cannot give some products, and refuses the points of others."""

    def __init__(self, *, unreadable: frozenset[str] = frozenset(), refused: frozenset[str] = frozenset()) -> None:
        super().__init__()
        self.unreadable, self.refused = unreadable, refused
        self.away = False

    async def read(self, keys: Sequence[SkuKey]) -> dict[SkuKey, PointPayload]:
        if any(key.sku in self.unreadable for key in keys):
            raise StoreRefusedError("message too large")
        return await super().read(keys)

    async def write(self, writes: Sequence[PointWrite]) -> frozenset[SkuKey]:
        if self.away:
            raise StoreUnavailableError
        if any(write.key.sku in self.refused for write in writes):
            raise StoreRefusedError("payload too large")
        return await super().write(writes)


class Encoder(CountingEncoder):
    """It raises for a text with "crash", and gives no numbers for one with "nan"."""

    async def encode(self, space: str, texts: Sequence[str]) -> Sequence[AnyVector]:
        if any("crash" in text for text in texts):
            raise RuntimeError("the tokenizer found no piece")
        vectors = await super().encode(space, texts)
        return [
            np.full_like(each, np.nan) if "nan" in text else each for text, each in zip(texts, vectors, strict=True)
        ]

    async def lengths(self, texts: Sequence[str]) -> Sequence[int]:
        if any("crash" in text for text in texts):
            raise RuntimeError("the tokenizer found no piece")
        return await super().lengths(texts)


def compose(key: SkuKey, state: ItemState, **options: object) -> object:
    if key.sku.startswith(BAD) and "plan" in str(state.facets):
        raise ZeroDivisionError
    return build_document(key, state, **options)  # type: ignore[arg-type] # passed on as they came


def titles(kind: str, names: Sequence[str] = NAMES) -> list[object]:
    return [event(name, "item", 10, {"title": kind if name.startswith(BAD) else f"bolt {name}"}) for name in names]


CASES: Mapping[str, tuple[str, str, str]] = {
    "read": ("large", READ, "store_refused"),
    "plan": ("plan", PLAN, "unexpected"),
    "encode": ("crash", ENCODE, "unexpected"),
    "nan": ("nan", ENCODE, "unexpected"),
    "write": ("refused", WRITE, "store_refused"),
    "publish": ("unsendable", PUBLISH, "record_too_large"),
}


@pytest.mark.parametrize("case", CASES)
async def test_a_product_that_fails_at_a_stage_is_buried_and_the_others_arrive(case: str) -> None:
    kind, stage, reason = CASES[case]
    index = Index(
        unreadable=frozenset({BAD} if case == "read" else ()), refused=frozenset({BAD} if case == "write" else ())
    )
    log, letters = DocumentLog(), DeadLetterLog()
    log.refuses = {BAD} if case == "publish" else set()
    pipeline = make_pipeline(
        index, publisher=log, dead_letters=letters, encoder=Encoder(), compose=compose, limits=LIMITS
    )
    batch = records_of([*titles(kind), event(BAD, "price", 11, {"price": 3})])
    report = await pipeline.process(batch)
    assert {key.sku for key in log.compacted()} == set(NAMES) - {BAD}
    assert [(one.record.offset, one.reason, one.stage) for one in letters.letters] == [
        (1, reason, stage),
        (5, reason, stage),
    ]
    assert {key.sku: fault.stage for key, fault in report.apart.items()} == {BAD: stage}
    assert report.log_fields()["set_apart"] == {stage: 1}
    # What was set apart can be tried again after the fix, and everything may come again.
    index.unreadable = index.refused = frozenset()
    log.refuses = set()
    await make_pipeline(index, publisher=log, dead_letters=letters, encoder=CountingEncoder()).process(batch)
    assert {key.sku for key in log.compacted()} == set(NAMES)


@pytest.mark.parametrize("case", ["read", "plan", "encode", "write"])
async def test_a_stage_that_fails_for_many_is_a_defect_and_nothing_is_buried(case: str) -> None:
    names = [f"{BAD}{number}" for number in range(12)]
    index = Index(
        unreadable=frozenset(names if case == "read" else ()), refused=frozenset(names if case == "write" else ())
    )
    letters = DeadLetterLog()
    pipeline = make_pipeline(index, dead_letters=letters, encoder=Encoder(), compose=compose, limits=LIMITS)
    with pytest.raises(DefectError, match=f"'{CASES[case][1]}' failed on 11 of 12"):
        await pipeline.process(records_of(titles(CASES[case][0], names)))
    assert letters.letters == []


async def test_a_batch_that_comes_again_is_not_in_a_row_with_itself() -> None:
    index, letters = Index(), DeadLetterLog()
    index.away = True
    pipeline = make_pipeline(index, dead_letters=letters, encoder=Encoder(), compose=compose, limits=LIMITS)
    batch = records_of(titles("plan"))
    for _ in range(60):
        with pytest.raises(StoreUnavailableError):
            await pipeline.process(batch)
    index.away = False
    await pipeline.process(batch)
    assert [one.reason for one in letters.letters] == ["unexpected"]


async def test_a_damaged_state_is_set_apart_where_it_is_published_again() -> None:
    index, log = MemoryIndex(), DocumentLog()
    await make_pipeline(index, publisher=log).process(records_of(titles("bolt")))
    bad = SkuKey.of("acme", BAD)
    held = (await index.read([bad]))[bad]
    await index.write([PointWrite(bad, held.rev, PointPayload(held.rev + 1, alive=True, state=b"{torn"))])
    keys = [SkuKey.of("acme", name) for name in NAMES]
    report = await make_pipeline(index, publisher=log).republish(keys)
    assert report.republished == 4
    assert [key.sku for key in report.apart] == [BAD]
