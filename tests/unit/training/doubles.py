"""Small judged sets, answers and indexed catalogues for tests of evaluation."""

import gzip
from collections.abc import Mapping, Sequence
from pathlib import Path

import orjson

from ferroflux.evaluation.catalogue import CatalogueSource
from ferroflux.evaluation.indexing import indexed_catalogue
from retrieval.encoders.settings import EncoderSettings
from retrieval.testing import HashingEncoder
from training.experiments.run import Run
from training.judgments import Gain, GainKind, JudgedQuery, JudgedSet
from training.metrics import Judge
from training.systems.indexed_catalogue import IndexedCatalogue
from training.systems.port import RankedAnswer

ROWS = [
    {
        "tenant": "sol",
        "sku": "MAR-1",
        "title": "Martillo de uña 16 oz",
        "brand": "Yunque",
        "description": "Para clavos.",
    },
    {"tenant": "sol", "sku": "MAR-2", "title": "Martillo de goma 20 oz", "brand": "Yunque"},
    {"tenant": "sol", "sku": "BRO-1", "title": "Broca para concreto", "brand": "Taladrix", "color": "gris"},
    {"tenant": "bay", "sku": "HAM-1", "title": "Claw hammer 16 oz", "brand": "Yunque", "price": 12.5, "stock": 3},
]


def judged_set(*queries: JudgedQuery, relevant_from: float = 2, gain: GainKind = GainKind.LINEAR) -> JudgedSet:
    return JudgedSet("tiny", queries, Gain(gain), relevant_from)


def query(identity: str, grades: Mapping[str, float], text: str = "x", **fields) -> JudgedQuery:
    return JudgedQuery(identity, text, grades, **fields)


def run_of(judged: JudgedSet, rankings: Mapping[str, Sequence[str]], name: str = "system") -> Run:
    answers = {identity: RankedAnswer(tuple(skus)) for identity, skus in rankings.items()}
    return Run(name, judged, answers, Judge(judged).score(answers))


def write_rows(path: Path, rows: Sequence[Mapping[str, object]]) -> Path:
    lines = b"".join(orjson.dumps(row) + b"\n" for row in rows)
    path.write_bytes(gzip.compress(lines) if path.suffix == ".gz" else lines)
    return path


def tiny_catalogue(folder: Path, rows: Sequence[Mapping[str, object]] = ROWS, **source) -> IndexedCatalogue:
    path = write_rows(folder / "products.jsonl", rows)
    return indexed_catalogue(
        CatalogueSource(path, **source),
        EncoderSettings(),
        folder / "cache",
        lambda *_: None,
        encoder=HashingEncoder(32),
    )
