"""What a server refuses for good: points by themselves, messages in parts, a configuration at once."""

import grpc
import pytest

from retrieval.vectors import record
from retrieval.vectors.factory import local_index
from retrieval.vectors.port import PointPayload
from retrieval.vectors.qdrant.calls import MessageTooLargeError, StoreCalls
from retrieval.vectors.qdrant.index import QdrantIndex, batches
from retrieval.vectors.settings import RetrySettings
from retrieval.vectors.spaces import Spaces, spaces_of
from schemas.errors import ConfigurationError, StoreRefusedError, StoreUnavailableError
from tests.contracts.vector_index_suite import REVISION, axis, create, key

ONCE = RetrySettings(attempts=1)


def rpc_error(code: grpc.StatusCode, details: str) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), details=details)


TOO_LARGE = rpc_error(
    grpc.StatusCode.OUT_OF_RANGE, "Error, message length too large: found 50 bytes, the limit is: 40 bytes"
)


@pytest.mark.parametrize(
    ("error", "of_points", "expected"),
    [
        (TOO_LARGE, False, MessageTooLargeError),
        (rpc_error(grpc.StatusCode.RESOURCE_EXHAUSTED, "Received message larger than max (9 vs. 4)"), True, MessageTooLargeError),
        (rpc_error(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many requests"), False, StoreUnavailableError),
        (rpc_error(grpc.StatusCode.INVALID_ARGUMENT, "Wrong input: Vector dimension error"), True, StoreRefusedError),
        (rpc_error(grpc.StatusCode.INVALID_ARGUMENT, "Wrong input"), False, ConfigurationError),
        (rpc_error(grpc.StatusCode.NOT_FOUND, "no collection"), True, ConfigurationError),
        (rpc_error(grpc.StatusCode.PERMISSION_DENIED, "read only"), True, ConfigurationError),
        (rpc_error(grpc.StatusCode.INTERNAL, "a disk"), True, StoreUnavailableError),
    ],
)  # fmt: skip
async def test_what_a_status_means(error, of_points, expected):
    async def attempt() -> None:
        raise error

    with pytest.raises(expected) as raised:
        await StoreCalls("here", timeout_s=1.0, retry=ONCE)("write points", attempt, of_points=of_points)
    assert type(raised.value) is expected


@pytest.fixture
async def index():
    index = local_index()
    await index.prepare(spaces_of(REVISION))
    await index.write([create(f"s{n}", axis(n % 8)) for n in range(7)])
    yield index
    await index.close()


async def test_an_answer_that_is_too_large_is_asked_for_in_parts(index: QdrantIndex, monkeypatch):
    whole, asked = index._wire.get, []

    async def get(point_ids, **options):
        asked.append(len(point_ids))
        if len(point_ids) > 2:
            raise TOO_LARGE
        return await whole(point_ids, **options)

    monkeypatch.setattr(index._wire, "get", get)
    keys = [key(f"s{n}") for n in range(7)]
    assert (await index.read(keys)).keys() == set(keys)
    assert max(asked) == 7
    assert len(asked) < 12


async def test_a_scan_takes_smaller_pages_where_one_is_too_large(index: QdrantIndex, monkeypatch):
    whole = index._client.scroll

    async def scroll(*args, **options):
        if options["limit"] > 2:
            raise TOO_LARGE
        return await whole(*args, **options)

    monkeypatch.setattr(index._client, "scroll", scroll)
    found = [page async for page in index.scan(page=7)]
    assert sum(map(len, found)) == 7


def test_writes_go_in_requests_of_so_many_and_so_many_bytes():
    assert [*batches([1, 1, 1, 1, 1], 2, 100, int)] == [[1, 1], [1, 1], [1]]
    assert [*batches([5, 5, 9, 30, 1], 9, 10, int)] == [[5, 5], [9], [30], [1]]
    assert [*batches([], 2, 10, int)] == []


@pytest.mark.parametrize("damaged", [{}, {"rev": "x", "state": 7}, {"tenant": "a", "sku": "b", "price": "dear"}])
def test_a_damaged_record_reads_as_an_empty_one(damaged):
    assert record.from_record(damaged, Spaces()) == PointPayload(0, alive=False, state=b"", in_stock=False)
    found = record.page_of([damaged, {"tenant": "a", "sku": "c", "rev": 1}], Spaces())
    assert len(found) == 1 + ("sku" in damaged)
