"""`ferroflux up` over a data directory of the release before: a product under another spelling of its SKU is one product again."""

import unicodedata
from pathlib import Path

import httpx
import pytest
from structlog.testing import capture_logs

import ferroflux.embedded.system
from ferroflux.data_directory import DataDirectory
from ferroflux.embedded.progress_reporter import LoggingProgressReporter
from ferroflux.embedded.settings import EmbeddedOptions
from ferroflux.embedded.system import EmbeddedSystem
from indexer.batch.plan import Arrival
from retrieval.testing import HashingEncoder
from schemas.identity import SkuId, SkuKey, TenantId
from schemas.product.changes import ITEM_FACET, ChangeEvent, facet_key
from schemas.version import SourceVersion
from tests.support.indexing.fakes import record
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

NFC = SkuKey.of("norte", "TUERCA-Ñ-6")
NFD = SkuKey(TenantId("norte"), SkuId(unicodedata.normalize("NFD", "TUERCA-Ñ-6")))


async def started(folder: Path) -> EmbeddedSystem:
    system = EmbeddedSystem(
        EmbeddedOptions(DataDirectory(folder), "127.0.0.1", 0, sample=False), LoggingProgressReporter()
    )
    await system.start()
    return system


def keys_of_replica(system: EmbeddedSystem) -> set[SkuKey]:
    system.reader.refresh()
    return {key for key, _ in system.reader.revisions()}


async def test_the_first_start_joins_it_to_its_product_and_the_next_does_not_look_again(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(ferroflux.embedded.system, "load_encoder", lambda _: HashingEncoder(16))
    marker = DataDirectory(tmp_path).one_spelling
    events = [
        ChangeEvent(NFD, ITEM_FACET, SourceVersion(0, 5), {"title": "Contratuerca"}),
        ChangeEvent(NFD, facet_key("price"), SourceVersion(0, 6), {"price": 3.5}),
    ]
    with capture_logs():
        former = await started(tmp_path)
        assert marker.exists(), "a new directory has nothing to join"
        pipeline = former.indexer.pipeline
        await former._thread.call(lambda: pipeline.apply([Arrival(one, record(one)) for one in events]))
        await eventually(lambda: keys_of_replica(former) == {NFD}, timeout=20)
        await former.stop()
        marker.unlink()

        system = await started(tmp_path)
        try:
            assert {key async for page in system.vectors.scan() for key in page} == {NFC}
            await eventually(lambda: keys_of_replica(system) == {NFC}, timeout=20)
            async with httpx.AsyncClient(base_url=system.url) as client:
                for spelling in (NFC.sku, NFD.sku):
                    item = await client.get(f"/v1/items/{spelling}", params={"tenant": "norte"})
                    assert (item.json()["title"], item.json()["price"]) == ("Contratuerca", 3.5)
            assert marker.exists()
        finally:
            await system.stop()
