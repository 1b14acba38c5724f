"""A small catalogue in memory that counts as a search: products by how many words of the request they hold."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from agent.catalogue.answers import is_confident
from agent.conversation.products import Found, FoundProduct, Product
from agent.resolve.matching import coverage, slots, terms


def product(sku: str, title: str, price: str | None = "10", **changes) -> Product:
    money = None if price is None else Decimal(price)
    return Product(
        sku=sku, title=title, price=money, currency="MXN", **{"unit": "pieza", "stock": Decimal(50), **changes}
    )


HAMMERS = (
    product("MAR-1", "Martillo de uña 8 oz Ferrum", "104.90"),
    product("MAR-2", "Martillo de uña 16 oz Ferrum", "120"),
    product("MAR-3", "Martillo de bola 16 oz Yunque", "99.50"),
    product("MAR-4", "Martillo de goma 24 oz Yunque", None),
)
SHOP = (
    *HAMMERS,
    product("PIN-1", "Pintura vinílica blanco 4 L Cromasol", "148.40"),
    product("PIN-2", "Pintura vinílica negro 4 L Cromasol", "149"),
    product("CAB-1", "Cable THHN rojo #12 AWG Voltera", "15.20", unit="PIE"),
    product("CEM-50", "Cemento gris 50 kg Andina", "230", unit="saco"),
)


class MemoryCatalogue:
    """The port `CatalogueSearch` over a few products of one tenant."""

    def __init__(self, products: Sequence[Product] = SHOP, tenant: str = "norte") -> None:
        self.products = {each.sku: each for each in products}
        self.tenant = tenant

    async def find(self, tenant, text, *, limit, brands=(), price_max=None, in_stock=False) -> Found:
        if tenant != self.tenant:
            return Found((), confident=False)
        request = slots(text)
        scored = [
            (coverage(request, terms(each.title, each.brand, "", each.sku)), each) for each in self.products.values()
        ]
        hits = tuple(
            FoundProduct(each, score, {"text": score})
            for score, each in sorted(scored, key=lambda pair: -pair[0])
            if score > 0
        )[:limit]
        return Found(hits, is_confident(text, hits), len(hits))

    async def items(self, tenant, skus) -> Mapping[str, Product]:
        return {sku: self.products[sku] for sku in skus if sku in self.products} if tenant == self.tenant else {}

    async def vocabulary(self, tenant, text, *, limit) -> list[str]:
        return ["martillo"][:limit]
