"""Our own conversations over the sample catalogue: the whole agent on the real search, with a floor."""

import asyncio
import json
from pathlib import Path

import pytest

from agent.evaluation.fixtures import read_conversations
from agent.evaluation.running import evaluate, misses, summary
from agent.planners.deterministic import DeterministicPlanner
from ferroflux.evaluation.catalogue import CatalogueSource
from ferroflux.evaluation.chat import agent_under_test
from ferroflux.evaluation.indexing import indexed_catalogue
from ferroflux.sample.generator import generate
from retrieval.encoders.settings import EncoderSettings

CONVERSATIONS = Path(__file__).parents[1] / "fixtures" / "conversations" / "sample.jsonl"
FLOOR = 0.97


@pytest.mark.slow
@pytest.mark.integration
@pytest.mark.timeout(600)
def test_the_agent_passes_its_own_conversations(tmp_path: Path) -> None:
    catalogue = tmp_path / "sample.jsonl"
    catalogue.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in generate()), encoding="utf-8")
    catalogue = indexed_catalogue(
        CatalogueSource(catalogue), EncoderSettings(), tmp_path / "cache", lambda _fraction, _text: None
    )
    conversations = read_conversations(CONVERSATIONS)
    assert len(conversations) >= 60
    with agent_under_test(catalogue, DeterministicPlanner()) as chat:
        evaluation = asyncio.run(evaluate(chat.runtime, chat.orders, conversations))
    figures = summary(evaluation)
    assert figures["turns_share"] >= FLOOR, misses(evaluation)
    assert figures["double_submissions"] == 0
