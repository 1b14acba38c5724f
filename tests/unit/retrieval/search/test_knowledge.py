"""What is kept of tenants: only of those that have products, within a bound of bytes, and no longer than they have any."""

from retrieval.aliases.live import LiveAliases
from retrieval.search.planning.knowledge import ReplicaKnowledge
from retrieval.text.memory import MemoryTextReader, MemoryTextStore, MemoryTextWriter
from retrieval.text.port import Checkpoint
from runtime.bounded_cache import caches
from schemas.documents import SearchDocument
from tests.support.clock import ClockOf


class Shop:
    def __init__(self) -> None:
        self.now = 0.0
        store = MemoryTextStore()
        self._writer = MemoryTextWriter(store)
        self.reader = MemoryTextReader(store)
        self.knowledge = ReplicaKnowledge(self.reader, LiveAliases(), clock=ClockOf(lambda: self.now))

    def write(self, tenant: str, *titles: str, deleted: bool = False, rev: int = 1) -> None:
        documents = [
            SearchDocument(tenant=tenant, sku=f"S{number}", rev=rev, state="0" * 16, title=title, deleted=deleted)
            for number, title in enumerate(titles)
        ]
        self._writer.apply(documents, Checkpoint("log"))
        self.reader.refresh()

    @property
    def kept(self) -> set[str]:
        return set(self.knowledge._learned.held())


def test_of_a_tenant_without_products_nothing_is_kept():
    shop = Shop()
    shop.write("acme", "Candado de bronce")
    assert shop.knowledge.of("acme").knows("candado")
    assert not shop.knowledge.of("made-up").knows("candado")
    assert shop.knowledge.of("made-up").correct("kandado") is None
    assert shop.kept == {"acme"}


def test_a_tenant_whose_last_product_is_gone_is_forgotten_when_it_is_asked_for():
    shop = Shop()
    shop.write("acme", "Candado de bronce")
    shop.knowledge.of("acme")
    shop.write("acme", "", deleted=True, rev=2)
    shop.now += 21
    assert not shop.knowledge.of("acme").knows("candado")
    assert shop.kept == set()


def test_it_is_forgotten_too_where_nobody_asks_for_it_any_more():
    shop = Shop()
    shop.write("acme", "Candado de bronce")
    shop.write("norte", "Taladro percutor")
    shop.knowledge.of("acme")
    shop.write("acme", "", deleted=True, rev=2)
    for _ in range(4):
        shop.now += 21
        shop.knowledge.of("norte")
    assert shop.kept == {"norte"}


def test_a_dictionary_whose_words_have_left_the_catalogue_is_begun_anew():
    shop = Shop()
    shop.write("acme", *(f"Tornillo serie{'abcdefghij'[number]}x" for number in range(10)))
    before = shop.knowledge.of("acme")
    assert before.knows("seriejx")
    shop.write("acme", *("Tornillo" for _ in range(10)), rev=2)
    shop.now += 21
    assert not shop.knowledge.of("acme").knows("seriejx")
    assert shop.knowledge.of("acme").knows("tornillo")


def test_the_bytes_of_dictionaries_are_told():
    shop = Shop()
    shop.write("acme", "Candado de bronce")
    shop.knowledge.of("acme")
    mine = [cache for cache in caches() if cache is shop.knowledge._learned]
    assert [cache.name for cache in mine] == ["spelling_dictionaries"]
    assert mine[0].bytes > 2 * 4_096
