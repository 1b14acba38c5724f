"""The real application over in-memory stores, and a client that calls it without a network."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI

from query_api.bootstrap import build_app
from query_api.settings import ApiSettings
from retrieval.encoders.port import SparseEncoder
from retrieval.filters import filter_values
from retrieval.passages import passage_text
from retrieval.rerank.port import Reranker
from retrieval.serving.parts import HeldParts
from retrieval.testing import HashingEncoder
from retrieval.text.memory import MemoryTextReader, MemoryTextStore, MemoryTextWriter
from retrieval.text.port import Checkpoint
from retrieval.vectors.memory import MemoryIndex
from retrieval.vectors.port import PointPayload, PointWrite
from retrieval.vectors.spaces import TEXT_VECTOR, Provenance, encoders_of, spaces_of
from schemas.documents import DocumentTimes, SearchDocument


def document(sku: str, *, tenant: str = "norte", **fields) -> SearchDocument:
    times = DocumentTimes(changed_us=1_700_000_000_000_000, logged_us=1_700_000_000_010_000, indexed_us=1)
    return SearchDocument(
        **{
            "tenant": tenant,
            "sku": sku,
            "rev": 1,
            "state": "0",
            "text_hash": "h",
            "model": "m",
            "times": times,
            **fields,
        }
    )


CATALOGUE = (
    document("TOR-M8", title="Tornillo hexagonal M8x40", brand="Acme", category="Fijaciones", price=0.5, stock=100),
    document("TOR-M6", title="Tornillo hexagonal M6x20", brand="Bolt", category="Fijaciones", price=0.25, stock=0),
    document("A/B 1", title="Taladro percutor", brand="acme", category="Herramientas", price=90, part_number="DCD-777"),
    document("LIJA", title="Lija al agua grano 120", category="Abrasivos", images=("https://img.example/1.jpg",)),
    document("GONE", title="Tornillo descatalogado", deleted=True),
    document("SUR-1", tenant="sur", title="Tornillo hexagonal M8x40", brand="Zeta", price=1, stock=3),
)


class Stores:
    """The in-memory stores of one application."""

    def __init__(self, documents: Sequence[SearchDocument] = CATALOGUE, *, sparse: SparseEncoder | None = None) -> None:
        self.encoder = HashingEncoder(64, sparse=sparse)
        self.vectors = MemoryIndex()
        self.text = MemoryTextStore()
        self.writer = MemoryTextWriter(self.text)
        self.writer.apply(documents, Checkpoint("log", {0: len(documents)}))
        self.reader = MemoryTextReader(self.text)
        self._documents = documents

    async def embed(self) -> None:
        await self.vectors.prepare(spaces_of(self.encoder.revision))
        texts = [passage_text(one) for one in self._documents]
        vectors = {space: list(encode(texts)) for space, encode in encoders_of(self.encoder).items()}
        await self.vectors.write(
            [
                PointWrite(one.key, None, _payload(one), {space: rows[row] for space, rows in vectors.items()})
                for row, one in enumerate(self._documents)
            ]
        )

    def app(self, *, tailed: bool = False, reranker: Reranker | None = None, **settings) -> FastAPI:
        return build_app(
            ApiSettings(**settings),
            held_of=lambda _: HeldParts(self.vectors, self.encoder, self.reader),
            reranker=reranker,
            tailed=tailed,
        )


def _payload(one: SearchDocument) -> PointPayload:
    return PointPayload(
        rev=one.rev,
        alive=not one.deleted,
        state=b"",
        provenance={TEXT_VECTOR: Provenance("h", "m")},
        filterable=filter_values(one),
    )


@asynccontextmanager
async def serving(app: FastAPI, *, ready: bool = True, **client) -> AsyncIterator[httpx.AsyncClient]:
    """Run the application's lifespan and call it; waits until it is ready."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://localhost", **client) as caller,
    ):
        while ready and (await caller.get("/readyz")).status_code != 200:
            pass  # each call gives the worker's own tasks their turn
        yield caller
