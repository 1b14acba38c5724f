import pickle
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.types import Interrupt, Send

from agent.checkpoints.port import UnknownStateTypeError
from agent.checkpoints.serialization import StrictRedisSerializer, StrictSerializer
from schemas.api.problems import InvalidField

pytestmark = pytest.mark.slow

BOTH = [StrictSerializer(), StrictRedisSerializer()]

plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8).filter(lambda key: key != "lc" and not key.startswith("__")), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@dataclass
class Foreign:
    command: str


FOREIGN = [
    Foreign("rm"),
    {"lines": [{"deep": Foreign("rm")}]},
    Decimal("1.5"),
    datetime(2026, 1, 1, tzinfo=UTC),
    {1, 2},
    HumanMessage("hola"),
    InvalidField(field="q", detail="long"),
    Interrupt(value=Foreign("rm"), id="i"),
    Send("node", {"arg": Foreign("rm")}),
    object(),
]


@pytest.mark.parametrize("serializer", BOTH, ids=["msgpack", "redis"])
class TestStrictness:
    @given(state=plain)
    def test_plain_state_comes_back_equal(self, serializer, state) -> None:
        assert serializer.loads_typed(serializer.dumps_typed(state)) == state

    @pytest.mark.parametrize("value", [Interrupt(value={"order": "o-1"}, id="i"), Send("tool", {"sku": "A"})])
    def test_what_langgraph_itself_keeps_comes_back_equal(self, serializer, value) -> None:
        assert serializer.loads_typed(serializer.dumps_typed([value])) == [value]

    @pytest.mark.parametrize("value", FOREIGN, ids=lambda value: type(value).__name__)
    def test_a_foreign_type_is_not_written(self, serializer, value) -> None:
        with pytest.raises(UnknownStateTypeError):
            serializer.dumps_typed(value)

    @pytest.mark.parametrize("value", FOREIGN[:-1], ids=lambda value: type(value).__name__)
    def test_a_foreign_type_that_somebody_else_wrote_is_not_read(self, serializer, value) -> None:
        written = JsonPlusSerializer().dumps_typed(value)
        with pytest.raises(UnknownStateTypeError):
            serializer.loads_typed(written)

    def test_a_pickle_is_not_read(self, serializer) -> None:
        with pytest.raises(UnknownStateTypeError):
            serializer.loads_typed(("pickle", pickle.dumps({"a": 1})))


@pytest.mark.parametrize("version", [1, 2])
def test_a_json_document_that_names_a_constructor_builds_nothing(version) -> None:
    document = b'{"lines": [{"lc": %d, "type": "constructor", "id": ["subprocess", "Popen"], "kwargs": {}}]}' % version
    for serializer in BOTH:
        with pytest.raises(UnknownStateTypeError):
            serializer.loads_typed(("json", document))
