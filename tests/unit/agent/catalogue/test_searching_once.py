"""How often one step of a turn searches: what is asked twice is searched once, and what a product costs is always fresh."""

from decimal import Decimal

import pytest

from agent.conversation.limits import AgentLimits
from agent.conversation.products import Found
from agent.conversation.state import ThreadState, ToolCall
from agent.errors import CatalogueUnavailableError
from agent.testing import CountingOrders
from agent.tools.cached_search import CachedSearch
from agent.tools.dispatch import ToolRunner
from runtime.clock import SystemClock
from schemas.identity import TenantId
from tests.support.agent.catalogue import MemoryCatalogue, product

NORTE = TenantId("norte")


class CountingCatalogue(MemoryCatalogue):
    """Counts its searches; the first `failures` of them fail."""

    def __init__(self, *, failures: int = 0) -> None:
        super().__init__()
        self.searched: list[str] = []
        self.failures = failures

    async def find(self, tenant, text, **options) -> Found:
        self.searched.append(text)
        if self.failures:
            self.failures -= 1
            raise CatalogueUnavailableError("away")
        return await super().find(tenant, text, **options)


async def test_the_same_search_of_one_step_runs_once() -> None:
    catalogue = CountingCatalogue()
    runner = ToolRunner(catalogue, CountingOrders(), SystemClock(), AgentLimits())
    state: ThreadState = {"tenant": "norte", "thread": "t1", "turn": 1}
    calls = [
        ToolCall(id=f"1.1.{place}", name="catalog_search", args={"query": "martillo de bola", "new": True})
        for place in range(3)
    ]
    _, results = await runner.run(state, calls)
    assert len(results) == 3
    assert catalogue.searched == ["martillo de bola"]
    await runner.run(state, calls[:1])
    assert len(catalogue.searched) == 2


async def test_another_limit_or_tenant_is_another_search() -> None:
    catalogue = CountingCatalogue()
    search = CachedSearch(catalogue)
    await search.find(NORTE, "martillo", limit=5)
    await search.find(NORTE, "martillo", limit=6)
    assert len((await search.find(NORTE, "martillo", limit=5)).products) == 4
    assert not (await search.find(TenantId("sur"), "martillo", limit=5)).products
    assert len(catalogue.searched) == 3


async def test_a_search_that_failed_is_asked_again() -> None:
    search = CachedSearch(CountingCatalogue(failures=1))
    with pytest.raises(CatalogueUnavailableError):
        await search.find(NORTE, "martillo", limit=5)
    assert (await search.find(NORTE, "martillo", limit=5)).products


async def test_prices_are_never_remembered() -> None:
    catalogue = CountingCatalogue()
    search = CachedSearch(catalogue)
    assert (await search.items(NORTE, ["MAR-2"]))["MAR-2"].price == Decimal(120)
    catalogue.products["MAR-2"] = product("MAR-2", "Martillo", "130")
    assert (await search.items(NORTE, ["MAR-2"]))["MAR-2"].price == Decimal(130)
