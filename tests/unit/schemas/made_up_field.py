"""A process whose table of catalogue fields has two rows more: where do they arrive?

Run by `test_catalogue`, in a process of its own: the table must be another before anything derives from it. Prints a JSON
object, place to whether both fields are found there.
"""

import asyncio
import inspect
import json
import sys
import tempfile
from pathlib import Path
from types import ModuleType

import schemas

TABLE = Path(schemas.__file__).with_name("catalogue.py")
END = ')  # fmt: skip\n"""In the order of'
ROWS = """
    Field(
        "colour", Kind.TEXT, n.text_rule(50), Role.LABEL, Filter.ANY_OF, ("colours",),
        headings="colour cor", columns="colour cor",
        labels=("Color", "Colour"),
    ),
    Field(
        "weight", Kind.NUMBER, n.number_rule(0, 1e6), None, Filter.RANGE, ("weights",), sort=True,
        headings="weight peso", columns="weight peso",
        labels=("Peso", "Weight"), bounds=(0, 1e6),
    ),
"""
module = ModuleType("schemas.catalogue")
sys.modules["schemas.catalogue"] = schemas.catalogue = module
source = TABLE.read_text(encoding="utf-8")
assert source.count(END) == 1
exec(compile(source.replace(END, ROWS + END), TABLE, "exec"), module.__dict__)

import orjson  # noqa: E402

from ferroflux.cli.use.search import search as search_command  # noqa: E402
from ferroflux.ingest.columns import ColumnMapping  # noqa: E402
from ferroflux.ingest.convert import RowConverter  # noqa: E402
from ferroflux.ingest.rows import Row  # noqa: E402
from query_api.http.search import to_query  # noqa: E402
from retrieval.filters import filter_values, meets  # noqa: E402
from retrieval.passages import TEMPLATE, passage_text  # noqa: E402
from retrieval.search.facets import count_facets  # noqa: E402
from retrieval.text.factory import open_reader, open_writer  # noqa: E402
from retrieval.text.port import Checkpoint  # noqa: E402
from retrieval.text.settings import TextIndexSettings  # noqa: E402
from retrieval.text.tantivy_index.compatibility import METADATA_FILE, current_metadata, require_compatible  # noqa: E402
from retrieval.text.tantivy_index.schema import SCHEMA_VERSION  # noqa: E402
from retrieval.vectors import record  # noqa: E402
from retrieval.vectors.edge import filters as edge_filters  # noqa: E402
from retrieval.vectors.edge.index import EdgeIndex  # noqa: E402
from retrieval.vectors.port import TEXT_VECTOR, PointPayload  # noqa: E402
from retrieval.vectors.qdrant import filters as qdrant_filters  # noqa: E402
from retrieval.vectors.settings import VectorSettings  # noqa: E402
from retrieval.vectors.spaces import Spaces  # noqa: E402
from schemas.api.items import Item  # noqa: E402
from schemas.api.search import SearchFacets, SearchFilters, SearchParameters, SearchRequest  # noqa: E402
from schemas.documents import SearchDocument  # noqa: E402
from schemas.errors import IncompatibleIndexError  # noqa: E402
from schemas.events.parser import EventParser  # noqa: E402
from schemas.events.wire import ChangeEventIn  # noqa: E402
from schemas.identity import TenantId  # noqa: E402
from schemas.mapping.loading import default_text  # noqa: E402
from schemas.product.building import build_document  # noqa: E402
from schemas.product.merge import merge_all  # noqa: E402
from tests.unit.query_api.app_under_test import Stores, serving  # noqa: E402

TENANT = TenantId("norte")
FOUND: dict[str, bool] = {}


def of_row(cells: dict) -> list:
    converted = RowConverter(ColumnMapping({}), 1, tenant=TENANT).convert(Row(2, cells), 0)
    return [change.event for change in converted.changes]


async def answers(documents: list[SearchDocument], folder: Path, asked: dict) -> tuple[dict, str, list[str]]:
    """A search over HTTP on the embedded stores (Tantivy, Qdrant Edge), the page's fields, and what the vectors alone find."""
    text = TextIndexSettings(directory=folder / "text")
    writer = open_writer(text)
    writer.apply(documents, Checkpoint("log", {0: 1}))
    writer.close()
    stores = Stores(documents)
    stores.reader = open_reader(text)
    stores.vectors = await EdgeIndex.open(VectorSettings(directory=folder / "vectors"))
    await stores.embed()
    near = stores.encoder.encode_queries(["taladro"])[0]
    wanted = to_query(SearchRequest.model_validate(asked)).catalogue_filter
    found = await stores.vectors.search(near, using=TEXT_VECTOR, catalogue_filter=wanted, limit=9)
    async with serving(stores.app(search={"deadline_s": 60, "hydration_deadline_s": 60})) as client:
        answer = (await client.post("/v1/search", json=asked)).json()
        page = (await client.get("/assets/fields.js")).text
    await stores.vectors.close()
    return answer, page, [hit.key.sku for hit in found]


red = of_row({"sku": "A", "nombre": "Taladro", "cor": "Rojo  Vivo", "peso": "2,5"})
blue = of_row({"sku": "B", "nombre": "Taladro", "colour": "azul", "weight": 9})
FOUND["ingest"] = red[0].fields.items() >= {"colour": "Rojo  Vivo", "weight": 2.5}.items()
item = default_text().split("name: products")[1]
FOUND["mapping"] = "colour: [colour, cor]" in item and "weight: [weight, peso]" in item
parsed = EventParser(default_tenant=TENANT).parse(
    None, b'{"sku":"A","version":1,"fields":{"title":"T","colour":"Rojo","weight":"2.5"}}'
)
FOUND["event"] = "colour" in repr(parsed) and "2.5" in repr(parsed)
FOUND["event schema"] = {"colour", "weight"} <= set(
    ChangeEventIn.model_json_schema()["$defs"]["ItemFields"]["properties"]
)
documents = [build_document(each[0].key, merge_all(each), 1) for each in (red, blue)]
stored = [SearchDocument.model_validate(orjson.loads(one.to_bytes())) for one in documents]
FOUND["document"] = stored == documents and (stored[0].colour, stored[0].weight) == ("Rojo  Vivo", 2.5)
FOUND["passage"] = TEMPLATE == "title|brand|category|colour|description:300" and "Rojo Vivo" in passage_text(stored[0])
asked = {"tenant": TENANT, "text": "taladro", "filters": {"colour": ["ROJO VIVO"], "weight_max": 3}}
wanted = to_query(SearchRequest.model_validate(asked)).catalogue_filter
FOUND["filter"] = [meets(one, wanted) for one in documents] == [True, False]
FOUND["text schema"] = SCHEMA_VERSION != "2"
with tempfile.TemporaryDirectory() as folder:
    Path(folder, METADATA_FILE).write_text(json.dumps({**current_metadata(), "schema": "2"}))
    try:
        require_compatible(Path(folder))
    except IncompatibleIndexError:
        FOUND["text index of the table before, refused"] = True
with tempfile.TemporaryDirectory() as folder:
    answer, page, found = asyncio.run(answers(documents, Path(folder), asked))
FOUND["vector index"] = found == ["A"]
FOUND["search"] = [(hit["item"]["sku"], hit["item"]["colour"]) for hit in answer["hits"]] == [("A", "Rojo  Vivo")]
FOUND["search, by words"] = any(one["retriever"] == "text" for one in answer["hits"][0]["signals"])
FOUND["search, facets"] = (answer["facets"]["colours"], answer["facets"]["weights"][0]["count"]) == (
    [{"value": "Rojo Vivo", "count": 1}],
    1,
)
FOUND["page"] = all(word in page for word in ("Colour", "Peso", "weight_max", "colours"))
options = inspect.signature(search_command).parameters
FOUND["command"] = {"colour", "weight_min", "weight_max"} <= set(options)
point = record.to_record(documents[0].key, PointPayload(1, True, b"{}", filterable=filter_values(documents[0])), "w")
FOUND["payload"] = (point["colour"], point["weight"]) == ("rojo vivo", 2.5)
FOUND["payload, read"] = record.from_record(point, Spaces()).filterable == filter_values(documents[0])
FOUND["payload indexes"] = "colour" in record.KEYWORD_FIELDS and "weight" in record.FLOAT_FIELDS
FOUND["Qdrant"] = [one.key for one in qdrant_filters.visible(wanted).must][-2:] == ["colour", "weight"]
FOUND["Qdrant Edge"] = all(name in repr(edge_filters.visible(wanted)) for name in ("colour", "weight"))
counted = count_facets(documents, values=5, price_buckets=2)
FOUND["facets"] = counted.colours == (("azul", 1), ("Rojo Vivo", 1)) and counted.weights[0].count == 2
FOUND["facets in OpenAPI"] = {"colours", "weights"} <= set(SearchFacets.model_json_schema()["properties"])
FOUND["filters of the API"] = {"colour", "weight_min", "weight_max"} <= set(
    SearchFilters.model_json_schema()["properties"]
)
parameters = SearchParameters(tenant=TENANT, q="taladro", colour=["rojo vivo"], weight_max=3)
FOUND["query string"] = to_query(parameters.to_request()).catalogue_filter == wanted
FOUND["item of the API"] = Item.of(documents[0]).weight == 2.5
print(json.dumps(FOUND))
