"""The messages that are built by hand: the same as the client's own, and sent with what its channels add."""

from collections.abc import AsyncIterator

import grpc
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from qdrant_client import grpc as messages
from qdrant_client.conversions.conversion import RestToGrpc

from retrieval.vectors.factory import remote_client
from retrieval.vectors.qdrant import filters
from retrieval.vectors.qdrant.client_wire import ClientWire
from retrieval.vectors.qdrant.grpc_wire import GrpcWire, add_at_revisions
from retrieval.vectors.qdrant.wire import NewPoint, Upsert
from retrieval.vectors.settings import Consistency, VectorSettings, VectorStoreKind

pytestmark = pytest.mark.slow

IDS = ["1b853b8a-f9cd-5c1e-abdb-e4eed557fe86", "7a0e5d0c-3c53-5d3c-8a5c-0d2f5b3f3a11"]
RECORD = {"tenant": "acme", "rev": 2, "alive": 1, "price": 1.5, "state": '{"ñ":"½"}'}
STORED = {
    "dense": messages.VectorOutput(dense=messages.DenseVector(data=[0.5, 0.25])),
    "deprecated": messages.VectorOutput(data=[0.5, 0.25]),
    "sparse": messages.VectorOutput(sparse=messages.SparseVector(indices=[7], values=[0.5])),
    "multi": messages.VectorOutput(
        multi_dense=messages.MultiDenseVector(
            vectors=[messages.DenseVector(data=[0.5]), messages.DenseVector(data=[1])]
        )
    ),
}


class RecordingServer(messages.PointsServicer):
    """Answers that nothing is stored and everything applied, and keeps what it was asked, with the call's metadata."""

    def __init__(self) -> None:
        self.requests: list[tuple[object, dict[str, str]]] = []

    async def Get(self, request, context):  # noqa: N802  # the name in the service's definition
        self.requests.append((request, dict(context.invocation_metadata())))
        return messages.GetResponse()

    async def UpdateBatch(self, request, context):  # noqa: N802  # the name in the service's definition
        self.requests.append((request, dict(context.invocation_metadata())))
        applied = messages.UpdateResult(status=messages.Completed)
        return messages.UpdateBatchResponse(result=[applied] * len(request.operations))


@pytest.fixture
async def recording() -> AsyncIterator[tuple[RecordingServer, int]]:
    points, server = RecordingServer(), grpc.aio.server()
    messages.add_PointsServicer_to_server(points, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield points, port
    await server.stop(None)


@pytest.fixture
async def wires(recording) -> AsyncIterator[tuple[GrpcWire, ClientWire]]:
    """Both wires over one client of one server."""
    settings = settings_for(recording[1])
    client = remote_client(settings)
    yield GrpcWire(client, settings), ClientWire(client, settings.collection)
    await client.close()


def settings_for(port: int, **changes) -> VectorSettings:
    return VectorSettings(kind=VectorStoreKind.QDRANT, url="http://127.0.0.1:6333", grpc_port=port, **changes)


@given(st.dictionaries(st.sampled_from([*IDS, "a", "b", "c"]), st.integers(0, 3)))
def test_the_guard_is_the_one_that_the_models_describe(expected):
    built = messages.Filter()
    add_at_revisions(built, expected)
    assert built == RestToGrpc.convert_filter(filters.at_revisions(expected))


@pytest.mark.parametrize("payload", [True, False, ["rev", "writer"]])
@pytest.mark.parametrize("vectors", [True, False, ["text"]])
async def test_a_read_asks_as_the_client_does(recording, wires, payload, vectors):
    for wire in wires:
        assert await wire.get(IDS, payload=payload, vectors=vectors) == {}
    (direct, _), (converted, _) = recording[0].requests
    assert direct == converted


async def test_writes_are_what_the_client_makes_of_its_models(recording, wires):
    vector = np.array([0.1, -2.5], dtype=np.float32)
    for wire in wires:
        kept = STORED["dense"] if isinstance(wire, GrpcWire) else [0.5, 0.25]
        created = NewPoint(IDS[0], RECORD, {}, {})
        replaced = NewPoint(IDS[1], RECORD, {"text": vector}, {"other": kept})
        await wire.upsert([Upsert([created], None), Upsert([replaced], {IDS[1]: 4})])
        await wire.delete_dead({IDS[0]: 2, IDS[1]: 3})
    requests = [request for request, _ in recording[0].requests]
    assert [list(request.operations) for request in requests[:2]] == [
        list(request.operations) for request in requests[2:]
    ]
    assert all(request.wait for request in requests)


@pytest.mark.parametrize("kind", STORED)
async def test_a_stored_vector_of_any_kind_goes_back_as_it_came(recording, wires, kind):
    await wires[0].upsert([Upsert([NewPoint(IDS[0], RECORD, {}, {"text": STORED[kind]})], {IDS[0]: 1})])
    sent = recording[0].requests[0][0].operations[0].upsert.points[0].vectors.vectors.vectors["text"]
    assert sent.ListFields()[0][1] == STORED[kind].ListFields()[0][1]
    assert sent.ListFields()[0][0].name == STORED[kind].ListFields()[0][0].name


@pytest.mark.parametrize("kind", ["dense", "deprecated"])
async def test_both_forms_of_a_stored_vector_are_read(wires, kind):
    assert wires[0].array(STORED[kind]).tolist() == [0.5, 0.25]


@pytest.mark.filterwarnings("ignore:Api key is used with an insecure connection")
async def test_replicas_and_the_api_key_show_in_every_call(recording):
    points, port = recording
    settings = settings_for(port, api_key="a-secret-key", replicas=3, ordering=Consistency.STRONG)
    client = remote_client(settings)
    wire = GrpcWire(client, settings)
    await wire.get(IDS, payload=True, vectors=False)
    await wire.upsert([Upsert([NewPoint(IDS[0], RECORD, {}, {})], None)])
    await client.close()
    assert [metadata["api-key"] for _, metadata in points.requests] == ["a-secret-key"] * 2
    assert points.requests[0][0].read_consistency.type == messages.Majority
    assert points.requests[1][0].ordering.type == messages.WriteOrderingType.Strong
