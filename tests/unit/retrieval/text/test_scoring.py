"""Scoring: which token of a document goes to which field, and which fields a query's tokens are looked for in."""

from retrieval.analysis.pipeline import analyse
from retrieval.filters import CatalogueFilter
from retrieval.text.content import TextField, content_of, content_of_words, words_of
from retrieval.text.factory import open_reader, open_writer
from retrieval.text.memory import MemoryTextReader, MemoryTextStore, MemoryTextWriter
from retrieval.text.port import Checkpoint
from retrieval.text.query import Alternative, Clause, TextQuery
from retrieval.text.scoring import WeightedTerm, scoring_plan
from retrieval.text.settings import FieldWeights, TextIndexSettings
from schemas.documents import SearchDocument
from schemas.identity import TenantId


def document(sku: str, title: str, **fields) -> SearchDocument:
    return SearchDocument(tenant=TenantId("acme"), sku=sku, rev=1, state="0" * 16, title=title, **fields)


def texts(content, field: TextField) -> set[str]:
    return {token.text for token in content.tokens[field]}


def test_sizes_and_codes_do_not_lengthen_the_title():
    content = content_of(document("BLT-9001", 'Codo galv. 1/2" DCD771C2', brand="Acme", part_number="80-534"))
    assert texts(content, TextField.TITLE) == {"cod", "galv", "galvanizad", "1/2", "771", "dcd"}
    assert texts(content, TextField.SIZES) == {"12.7mm"}
    assert {"blt9001", "80534", "dcd771c2", "dcd771"} <= texts(content, TextField.CODES)
    assert texts(content, TextField.LABELS) == {"acm"}
    assert content.codes == {"blt9001", "80534"}


def test_a_short_sku_is_a_code_even_where_the_analysis_sees_a_word():
    assert "promo" in texts(content_of(document("PROMO", "x")), TextField.CODES)


def test_alternatives_stand_together_and_positions_apart():
    plan = scoring_plan(TextQuery.of(analyse('codo 1/2"')), FieldWeights(title=2, labels=0, body=0, sizes=3))
    assert [[one.positions for one in clause] for clause in plan] == [
        [((WeightedTerm(TextField.TITLE, "cod", 2),),)],
        [((WeightedTerm(TextField.TITLE, "1/2", 2), WeightedTerm(TextField.SIZES, "12.7mm", 3)),)],
    ]


def words(text: str):
    return analyse(text).tokens


def test_a_rewriting_is_weighted_and_worth_the_words_that_it_stands_for():
    rewritten = Alternative(words("broca"), weight=0.5, whole=True)
    query = TextQuery((Clause((Alternative(words("drill bit")), rewritten), width=2),))
    (typed, other), *_ = scoring_plan(query, FieldWeights(title=1, labels=0, body=0, coverage=1))
    assert (len(typed.positions), typed.coverage) == (2, 1.0)
    assert (other.positions, other.coverage) == (((WeightedTerm(TextField.TITLE, "broc", 1.0),),), 1.0)


def test_a_position_without_weighted_fields_is_left_out():
    assert scoring_plan(TextQuery.of(analyse("codo")), FieldWeights(title=0, labels=0, body=0)) == []


def test_tantivy_ranks_as_the_reference_does(tmp_path):
    nouns = ("Martillo", "Tenaza", "Sierra", "Llave", "Broca")
    documents = [
        document(f"{noun[0]}{size}", f"{noun} {' '.join(['acero'] * (size % 3))} {size}mm", brand=f"Marca {size % 2}")
        for noun in nouns
        for size in range(4, 12)
    ]
    store = MemoryTextStore()
    MemoryTextWriter(store).apply(documents, Checkpoint("log"))
    settings = TextIndexSettings(directory=tmp_path, heap_mb=15)
    writer = open_writer(settings)
    writer.apply(documents, Checkpoint("log"))
    writer.close()
    reference, reader = MemoryTextReader(store), open_reader(settings)
    for query in ("llave 8mm", "acero marca 1", "sierra acero 5 mm", "b7"):
        catalogue_filter = CatalogueFilter(TenantId("acme"))
        expected = {
            hit.key: hit.score
            for hit in reference.search(TextQuery.of(analyse(query)), catalogue_filter=catalogue_filter, limit=100)
        }
        scored = {
            hit.key: hit.score
            for hit in reader.search(TextQuery.of(analyse(query)), catalogue_filter=catalogue_filter, limit=100)
        }
        assert scored.keys() == expected.keys()
        # Tantivy counts the checkpoint as a document without text: a little more in every idf and mean length.
        assert all(abs(scored[key] / score - 1) < 0.05 for key, score in expected.items())


def test_documents_that_differ_in_price_alone_are_analysed_once() -> None:
    one, other = document("A-1", "Codo 1/2"), document("A-1", "Codo 1/2").model_copy(update={"price": 7.0, "rev": 9})
    assert words_of(one) == words_of(other)
    assert words_of(one) != words_of(document("A-1", "Codo 3/4"))
    assert content_of_words(words_of(one)) == content_of(one)
