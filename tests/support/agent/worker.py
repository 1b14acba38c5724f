"""One agent process over a fixed catalogue, to be killed: `python -m tests.support.agent.worker PORT DATABASE_URL [die]`.

The real graph, planner, leases, checkpoints and orders on PostgreSQL. With `die`, it kills itself the moment a product has
been added to an order and the checkpoint of that is written: in the middle of the turn.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from decimal import Decimal

import uvicorn
from pydantic import SecretStr

from agent.bootstrap import build_agent_app
from agent.conversation.products import Found, FoundProduct, Product
from agent.settings import (
    AgentSection,
    AgentSettings,
    CheckpointKind,
    CheckpointSettings,
    DatabaseSettings,
    OrderSettings,
)
from schemas.identity import TenantId

PRODUCTS = {
    sku: Product(sku, title, unit="pieza", price=Decimal(price), currency="MXN", stock=Decimal(500))
    for sku, title, price in (("MAR-16", "Martillo de 16 oz", "120.50"), ("MAR-20", "Martillo de 20 oz", "150"))
}


class FixedCatalogue:
    """Two hammers. `dying` kills the process when the prices of an order are asked for after a line was added."""

    def __init__(self, *, dying: bool) -> None:
        self._dying = dying
        self._asked = 0

    async def find(self, _tenant: TenantId, text: str, *, limit: int, **_filters: object) -> Found:
        found = tuple(FoundProduct(product, 1.0, {"text": 9.0}) for product in list(PRODUCTS.values())[:limit])
        return Found(found, confident="martillo" in text, total=len(found))

    async def items(self, _tenant: TenantId, skus: Sequence[str]) -> Mapping[str, Product]:
        self._asked += 1
        if self._dying and self._asked > 1:  # the first is the tool that adds; the second is the reply, a node later
            os.kill(os.getpid(), signal.SIGKILL)
        return {sku: PRODUCTS[sku] for sku in skus if sku in PRODUCTS}

    async def vocabulary(self, _tenant: TenantId, _text: str, *, limit: int) -> list[str]:
        return ["martillo"][:limit]


def main(port: str, url: str, *rest: str) -> None:
    settings = AgentSettings(
        agent=AgentSection(
            database=DatabaseSettings(url=SecretStr(url)),
            checkpoints=CheckpointSettings(kind=CheckpointKind.POSTGRES),
            orders=OrderSettings(publish=False),
        )
    )
    app = build_agent_app(settings, catalogue=FixedCatalogue(dying="die" in rest))
    config = uvicorn.Config(app, host="127.0.0.1", port=int(port), log_config=None, lifespan="on")
    asyncio.run(uvicorn.Server(config).serve())


if __name__ == "__main__":
    main(*sys.argv[1:])
