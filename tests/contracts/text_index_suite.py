"""What every text index must do: one suite, inherited by a class for each adapter."""

import itertools
from abc import ABC, abstractmethod

import pytest

from retrieval.analysis.pipeline import analyse
from retrieval.filters import CatalogueFilter
from retrieval.text.port import Applied, Checkpoint, TextCounts, TextIndexReader, TextIndexWriter
from retrieval.text.query import Alternative, Clause, TextQuery, Unwanted, typed_clauses
from schemas.documents import SearchDocument
from schemas.identity import SkuKey, TenantId

TENANT = TenantId("acme")
OTHER_TENANT = TenantId("bolt")
FIRST = Checkpoint("cluster-1", {0: 10, 1: 20})
SECOND = Checkpoint("cluster-1", {0: 11, 1: 25})


def document(sku: str, title: str = "Martillo", rev: int = 1, *, tenant: str = TENANT, **fields) -> SearchDocument:
    return SearchDocument(tenant=tenant, sku=sku, rev=rev, state="0" * 16, title=title, **fields)


def tombstone(sku: str, rev: int) -> SearchDocument:
    return document(sku, "", rev, deleted=True)


def key(sku: str, tenant: str = TENANT) -> SkuKey:
    return SkuKey.of(tenant, sku)


class TextIndexContract(ABC):
    """Subclasses give a writer and a reader of the same index; `load` makes the last commit visible to the reader."""

    @pytest.fixture
    @abstractmethod
    def writer(self) -> TextIndexWriter: ...

    @pytest.fixture
    @abstractmethod
    def reader(self, writer: TextIndexWriter) -> TextIndexReader: ...

    def load(self, writer, reader, *documents: SearchDocument) -> Applied:
        applied = writer.apply(documents, FIRST)
        reader.refresh()
        return applied

    def found(self, reader, text: str, limit: int = 10, **conditions) -> list[str]:
        catalogue_filter = CatalogueFilter.of(**{"tenant": TENANT, **conditions})
        return [
            hit.key.sku
            for hit in reader.search(TextQuery.of(analyse(text)), catalogue_filter=catalogue_filter, limit=limit)
        ]

    def test_a_new_index_has_no_checkpoint_and_no_documents(self, writer, reader):
        self.load(writer, reader)
        assert reader.counts() == TextCounts(0, 0, 0, 0)
        assert reader.products() == {}
        assert list(reader.revisions()) == []
        assert self.found(reader, "martillo") == []

    def test_data_and_checkpoint_become_visible_together_and_only_on_refresh(self, writer, reader):
        self.load(writer, reader, document("1"))
        writer.apply([document("2")], SECOND)
        assert (reader.checkpoint(), reader.counts().alive) == (FIRST, 1)
        assert reader.refresh()
        assert (reader.checkpoint(), reader.counts().alive) == (SECOND, 2)
        assert not reader.refresh()

    def test_an_empty_batch_still_moves_the_checkpoint(self, writer, reader):
        self.load(writer, reader, document("1"))
        assert writer.apply([], SECOND) == Applied(0, 0)
        assert writer.checkpoint() == SECOND
        reader.refresh()
        assert reader.checkpoint() == SECOND

    def test_offsets_and_identity_of_the_log_survive_whole(self, writer):
        checkpoint = Checkpoint("lkc-Ünïcode/1", {0: 0, 11: 2**53 + 1})
        writer.apply([], checkpoint)
        assert writer.checkpoint() == checkpoint

    def test_a_newer_revision_replaces_the_held_one(self, writer, reader):
        self.load(writer, reader, document("1", "Martillo"))
        assert self.load(writer, reader, document("1", "Tenaza", 2)) == Applied(1, 0)
        assert self.found(reader, "martillo") == []
        assert self.found(reader, "tenaza") == ["1"]
        assert reader.counts().alive == 1

    def test_an_older_revision_is_dropped_and_counted(self, writer, reader):
        self.load(writer, reader, document("1", "Tenaza", 5))
        assert self.load(writer, reader, document("1", "Martillo", 4), document("2", "Sierra")) == Applied(1, 1)
        assert self.found(reader, "tenaza") == ["1"]
        assert dict(reader.revisions()) == {key("1"): 5, key("2"): 1}

    def test_an_equal_revision_is_written_again(self, writer, reader):
        self.load(writer, reader, document("1", "Martillo", 3))
        assert self.load(writer, reader, document("1", "Tenaza", 3)) == Applied(1, 0)
        assert self.found(reader, "tenaza") == ["1"]
        assert reader.counts().alive == 1

    def test_within_a_batch_the_highest_revision_wins_wherever_it_stands(self, writer, reader):
        batch = [document("1", "Sierra", 2), document("1", "Tenaza", 3), document("1", "Martillo", 1)]
        assert self.load(writer, reader, *batch) == Applied(1, 2)
        assert self.found(reader, "tenaza") == ["1"]
        assert self.found(reader, "martillo sierra") == []

    def test_a_tombstone_hides_the_product_but_is_held(self, writer, reader):
        self.load(writer, reader, document("1", price=5.0), document("2"))
        self.load(writer, reader, tombstone("1", 2))
        catalogue_filter = CatalogueFilter(TENANT)
        assert self.found(reader, "martillo") == ["2"]
        assert reader.lookup_code("1", catalogue_filter=catalogue_filter, limit=5) == []
        assert reader.matching([key("1"), key("2")], catalogue_filter) == {key("2")}
        assert reader.fetch([key("1")])[key("1")].deleted
        assert reader.counts(TENANT) == TextCounts(alive=1, dead=1, with_text_vector=0, with_image=0)
        assert dict(reader.revisions()) == {key("1"): 2, key("2"): 1}

    def test_a_stale_upsert_does_not_resurrect_a_tombstone_but_a_newer_one_does(self, writer, reader):
        self.load(writer, reader, tombstone("1", 5))
        assert self.load(writer, reader, document("1", rev=4)) == Applied(0, 1)
        assert self.found(reader, "martillo") == []
        self.load(writer, reader, document("1", rev=6))
        assert self.found(reader, "martillo") == ["1"]

    def test_tenants_never_see_each_other(self, writer, reader):
        self.load(writer, reader, document("1"), document("1", tenant=OTHER_TENANT, rev=7), document("2"))
        assert sorted(self.found(reader, "martillo")) == ["1", "2"]
        assert self.found(reader, "martillo", tenant=OTHER_TENANT) == ["1"]
        assert reader.matching([key("1", OTHER_TENANT)], CatalogueFilter(TENANT)) == frozenset()
        assert reader.counts(OTHER_TENANT).alive == 1
        assert list(reader.products()) == [TENANT, OTHER_TENANT]

    def test_a_tenant_without_living_products_is_not_listed(self, writer, reader):
        self.load(writer, reader, document("1"), document("9", tenant=OTHER_TENANT))
        self.load(writer, reader, document("9", "", 2, tenant=OTHER_TENANT, deleted=True))
        assert list(reader.products()) == [TENANT]

    def test_who_covers_more_of_the_query_comes_first(self, writer, reader):
        self.load(
            writer,
            reader,
            document("1", "Llave combinada 13 mm"),
            document("2", "Llave inglesa"),
            document("3", "Llave combinada 10 mm"),
        )
        assert self.found(reader, "llave combinada 13mm") == ["1", "3", "2"]
        assert self.found(reader, "llave combinada 13mm", limit=1) == ["1"]

    def test_scores_fall_and_the_rarer_word_counts_more(self, writer, reader):
        self.load(
            writer, reader, *[document(str(i), "Disco corte") for i in range(5)], document("r", "Disco diamantado")
        )
        hits = reader.search(
            TextQuery.of(analyse("disco diamantado")), catalogue_filter=CatalogueFilter(TENANT), limit=10
        )
        assert hits[0].key.sku == "r"
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
        assert hits[0].score > hits[1].score > 0

    @pytest.mark.parametrize(
        ("title", "query"),
        [
            ("Tubería PVC", "tuberias"),
            ('Codo galv. 1.1/2"', "codos galvanizados 1½"),
            ("Perno M8 x 40", "m8x40"),
            ("Caño 3 mts", "300 cm"),
            ("Lija grano 36", "g-36"),
            ("Perfil C-22", "cal 22"),
            ("Taladro DCD-771C2", "dcd771c2"),
            ("Repuesto 17358TRUPER", "truper 17358"),
        ],
    )
    def test_spellings_of_one_thing_find_each_other(self, writer, reader, title, query):
        self.load(writer, reader, document("1", title), document("2", "Otra cosa"))
        assert self.found(reader, query) == ["1"]

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("brand", "Zorzal"),
            ("category", "Zorzal"),
            ("description", "hecho en Zorzal"),
            ("bullets", ("liviano", "zorzal")),
            ("attributes", {"serie": "Zorzal", "peso": 2.5, "nuevo": True}),
        ],
    )
    def test_every_text_field_is_searched(self, writer, reader, field, value):
        self.load(writer, reader, document("1", **{field: value}), document("2"))
        assert self.found(reader, "zorzal") == ["1"]

    @pytest.mark.parametrize("text", ['NOT "', "a:b AND (b", "zorzal OR *", "title:zorzal", "b^2~1", "[b TO c]"])
    def test_what_would_be_query_syntax_is_plain_text(self, writer, reader, text):
        self.load(writer, reader, document("1"))
        assert self.found(reader, text) == []

    @pytest.mark.parametrize("text", ["", "   ", '"', "de la", "+-/*", "\x00", "💡"])
    def test_a_query_without_tokens_finds_nothing(self, writer, reader, text):
        self.load(writer, reader, document("1"))
        assert self.found(reader, text) == []

    def test_a_listing_has_what_meets_the_filter_and_is_alive(self, writer, reader):
        self.load(writer, reader, document("1", price=1.0), document("2", price=2.0), document("3"), tombstone("4", 1))
        assert set(reader.listed(CatalogueFilter(TENANT), limit=10)) == {key("1"), key("2"), key("3")}
        assert set(reader.listed(CatalogueFilter.of(TENANT, price_min=1.0), limit=10)) == {key("1"), key("2")}
        assert reader.listed(CatalogueFilter(OTHER_TENANT), limit=10) == []

    def test_longer_lists_begin_with_the_shorter_ones(self, writer, reader):
        for start in (20, 0, 10):
            self.load(writer, reader, *[document(str(i)) for i in range(start, start + 10)])
        limits = (0, 1, 7, 15, 30, 50)
        ranked = [self.found(reader, "martillo", limit=limit) for limit in limits]
        listed = [[k.sku for k in reader.listed(CatalogueFilter(TENANT), limit=limit)] for limit in limits]
        for lists in (ranked, listed):
            assert [len(found) for found in lists] == [0, 1, 7, 15, 30, 30]
            assert all(longer[: len(shorter)] == shorter for shorter, longer in itertools.pairwise(lists))

    def test_a_removed_product_is_forgotten_revision_and_all(self, writer, reader):
        self.load(writer, reader, tombstone("1", 9), document("2"), document("3", rev=5))
        applied = writer.apply([document("3", "Tenaza")], SECOND, removed=[key("1"), key("3"), key("unknown")])
        reader.refresh()
        assert applied == Applied(1, 0)
        assert dict(reader.revisions()) == {key("2"): 1, key("3"): 1}
        assert reader.counts() == TextCounts(alive=2, dead=0, with_text_vector=0, with_image=0)
        assert sorted(self.found(reader, "tenaza martillo")) == ["2", "3"]

    @pytest.mark.parametrize("code", ["BLT-992900", "blt992900", "BLT 992900", "80-534", "80534", "7791234567890"])
    def test_a_code_is_found_in_any_spelling(self, writer, reader, code):
        wanted = document("BLT-992900", part_number="80-534", ean=("7791234567890",))
        self.load(writer, reader, wanted, document("BLT-992901"), document("BLT-992900", tenant=OTHER_TENANT))
        assert reader.lookup_code(code, catalogue_filter=CatalogueFilter(TENANT), limit=5) == [wanted.key]
        assert self.found(reader, code)[0] == "BLT-992900"

    @pytest.mark.parametrize("code", ["", "--", "BLT-99290", "992900"])
    def test_a_code_is_looked_up_whole(self, writer, reader, code):
        self.load(writer, reader, document("BLT-992900"))
        assert reader.lookup_code(code, catalogue_filter=CatalogueFilter(TENANT), limit=5) == []

    @pytest.mark.parametrize(
        ("conditions", "expected"),
        [
            ({}, {"cheap", "dear", "gone", "unpriced"}),
            ({"brand": frozenset({"TRUPER"})}, {"cheap"}),
            ({"brand": frozenset({"Truper", "stanley  tools"})}, {"cheap", "dear"}),
            ({"category": frozenset({"manuales"})}, {"cheap", "gone"}),
            ({"price_min": 10.0}, {"dear", "gone"}),
            ({"price_max": 10.0}, {"cheap", "gone"}),
            ({"price_min": 10.0, "price_max": 10.0}, {"gone"}),
            ({"in_stock": True}, {"cheap", "dear", "unpriced"}),
            ({"brand": frozenset({"truper"}), "price_min": 10.0}, set()),
        ],
    )
    def test_filters_agree_in_search_matching_and_lookup(self, writer, reader, conditions, expected):
        self.load(
            writer,
            reader,
            document("cheap", brand="Truper", category="Manuales", price=5.0, stock=3),
            document("dear", brand="Stanley Tools", category="Eléctricas", price=50.0),
            document("gone", category="manuales", price=10.0, stock=0),
            document("unpriced"),
        )
        catalogue_filter = CatalogueFilter.of(TENANT, **conditions)
        keys = [key(sku) for sku in ("cheap", "dear", "gone", "unpriced", "unknown")]
        assert set(self.found(reader, "martillo", **conditions)) == expected
        assert {k.sku for k in reader.matching(keys, catalogue_filter)} == expected
        assert {
            k.sku for one in keys for k in reader.lookup_code(one.sku, catalogue_filter=catalogue_filter, limit=5)
        } == expected

    def test_documents_come_back_as_they_were(self, writer, reader):
        whole = document(
            "A/ñ 1", '½" "caño"', 3, brand="X", bullets=("a", "b"), attributes={"w": 2.5, "ok": True, "t": "s"},
            ean=("1",), images=("i",), price=1.25, prices={"list": 2.0}, stock=0.0, stocks={"s": 0.0}, text_hash="h",
        )  # fmt: skip
        self.load(writer, reader, whole, document("2"))
        assert reader.fetch([whole.key, key("unknown")]) == {whole.key: whole}
        assert reader.fetch([]) == {}
        assert reader.matching([], CatalogueFilter(TENANT)) == frozenset()

    def test_a_listing_has_every_living_product_of_the_filter_once_and_its_beginning_is_stable(self, writer, reader):
        catalogue = [document(str(n), f"pieza {n}", brand="Acme" if n % 2 else "Bolt") for n in range(9)]
        self.load(writer, reader, *catalogue, tombstone("gone", 1), document("1", "otra", tenant="other"))
        everything = reader.listed(CatalogueFilter(TENANT), limit=100)
        assert sorted(everything) == [key(str(n)) for n in range(9)]
        assert reader.listed(CatalogueFilter(TENANT), limit=4) == everything[:4]
        odd = reader.listed(CatalogueFilter.of(TENANT, brand=["acme"]), limit=100)
        assert sorted(odd) == [key(str(n)) for n in (1, 3, 5, 7)]
        assert reader.listed(CatalogueFilter(TENANT), limit=0) == []

    def test_counts_are_exact_over_updates(self, writer, reader):
        self.load(writer, reader, document("1", text_hash="h"), document("2", images=("i",)), document("3"))
        self.load(writer, reader, document("1", rev=2, text_hash="h", images=("i",)), tombstone("3", 2))
        self.load(writer, reader, document("9", tenant=OTHER_TENANT, text_hash="h"))
        assert reader.counts(TENANT) == TextCounts(alive=2, dead=1, with_text_vector=1, with_image=2)
        assert reader.counts() == TextCounts(alive=3, dead=1, with_text_vector=2, with_image=2)
        assert reader.counts(TenantId("nobody")) == TextCounts(0, 0, 0, 0)

    def test_a_closed_writer_closes_again(self, writer):
        writer.close()
        writer.close()

    def test_a_rewriting_has_to_match_whole_and_counts_less_than_the_typed_word(self, writer, reader):
        titles = {"1": "Alicate de presion", "2": "Alicate universal", "3": "Pinza perra"}
        self.load(writer, reader, *(document(sku, title) for sku, title in titles.items()))
        rewritten = Alternative(analyse("alicate presion").tokens, weight=0.9, whole=True)
        query = TextQuery((Clause((Alternative(analyse("perra").tokens), rewritten)),))
        hits = reader.search(query, catalogue_filter=CatalogueFilter(TENANT), limit=10)
        assert [hit.key.sku for hit in hits] == ["3", "1"]

    def test_what_a_query_excludes_is_neither_found_nor_kept(self, writer, reader):
        self.load(writer, reader, document("1", "Taladro inalambrico"), document("2", "Taladro", brand="Acme"))
        for word, left in (("inalambrico", "2"), ("acme", "1")):
            query = TextQuery(TextQuery.of(analyse("taladro")).clauses, (Unwanted(analyse(word).tokens),))
            assert [h.key.sku for h in reader.search(query, catalogue_filter=CatalogueFilter(TENANT), limit=9)] == [
                left
            ]
            assert reader.excluded([key("1"), key("2")], query) == {key("1"), key("2")} - {key(left)}
        assert reader.excluded([key("1")], TextQuery.of(analyse("taladro"))) == frozenset()

    def test_a_product_that_denies_the_unwanted_word_itself_stays(self, writer, reader):
        self.load(writer, reader, document("1", "Comba con mango"), document("2", "Comba sin mango"))
        unwanted = Unwanted(analyse("mango").tokens, unless=("sin",))
        query = TextQuery(TextQuery.of(analyse("comba")).clauses, (unwanted,))
        assert [h.key.sku for h in reader.search(query, catalogue_filter=CatalogueFilter(TENANT), limit=9)] == ["2"]
        assert reader.excluded([key("1"), key("2")], query) == {key("1")}

    def test_whether_a_product_meets_the_whole_query(self, writer, reader):
        self.load(writer, reader, document("1", "Tubo de cobre"), document("2", "Codo de bronce"))
        catalogue_filter = CatalogueFilter(TENANT)
        assert reader.meets_all(TextQuery.of(analyse("tubo cobre")), catalogue_filter=catalogue_filter)
        assert not reader.meets_all(TextQuery.of(analyse("tubo bronce")), catalogue_filter=catalogue_filter)
        extra = (*TextQuery.of(analyse("tubo")).clauses, *typed_clauses(analyse("20").tokens, extra=True))
        assert reader.meets_all(TextQuery(extra), catalogue_filter=catalogue_filter)
        assert not reader.meets_all(TextQuery(()), catalogue_filter=catalogue_filter)

    def test_how_many_products_have_all_words_of_an_expression(self, writer, reader):
        self.load(writer, reader, document("1", "Llave de tubo"), document("2", "Tubo"), tombstone("3", 1))
        catalogue_filter = CatalogueFilter(TENANT)
        assert reader.count_with(analyse("tubo").tokens, catalogue_filter=catalogue_filter) == 2
        assert reader.count_with(analyse("llave tubo").tokens, catalogue_filter=catalogue_filter) == 1
        assert reader.count_with((), catalogue_filter=catalogue_filter) == 0

    def test_a_tenants_vocabulary_by_prefix_with_the_most_frequent_first(self, writer, reader):
        self.load(
            writer,
            reader,
            document("1", "Martillo de Carpintero 16 oz", brand="Acme"),
            document("2", "Martíllo"),
            document("3", "Mazo"),
            document("4", "Marmol", tenant=OTHER_TENANT),
        )
        assert reader.vocabulary(TENANT, "ma") == [("martillo", 2), ("mazo", 1)]
        assert reader.vocabulary(TENANT, "ma", limit=1) == [("martillo", 2)]
        assert dict(reader.vocabulary(TENANT)) == {"martillo": 2, "mazo": 1, "carpintero": 1, "acme": 1}
