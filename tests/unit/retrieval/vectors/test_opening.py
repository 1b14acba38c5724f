"""Settings, and how the index is opened from them."""

import pytest
import structlog
from pydantic import ValidationError

from retrieval.vectors.edge.index import EdgeIndex
from retrieval.vectors.factory import local_index, open_vector_index
from retrieval.vectors.qdrant.index import QdrantIndex
from retrieval.vectors.settings import Quantisation, VectorSettings, VectorStoreKind
from retrieval.vectors.spaces import spaces_of
from tests.contracts.vector_index_suite import REVISION, axis, create, key


async def test_the_kind_chooses_the_adapter(tmp_path):
    embedded = await open_vector_index(VectorSettings(directory=tmp_path))
    assert isinstance(embedded, EdgeIndex)
    await embedded.close()
    remote = await open_vector_index(VectorSettings(kind=VectorStoreKind.QDRANT))
    assert isinstance(remote, QdrantIndex)
    await remote.close()


async def test_a_local_index_works_without_a_server():
    index = local_index()
    await index.prepare(spaces_of(REVISION))
    assert await index.write([create("a", axis(0))]) == frozenset()
    assert await index.revisions([key("a")]) == {key("a"): 1}
    await index.close()


@pytest.mark.parametrize(
    ("url", "warned"), [("http://qdrant:6333", True), ("https://qdrant:6333", False)], ids=["plain", "encrypted"]
)
async def test_a_key_over_plain_http_is_warned_of_and_never_shown(url, warned):
    settings = VectorSettings(kind=VectorStoreKind.QDRANT, url=url, api_key="a-secret-key")
    with structlog.testing.capture_logs() as logs:
        index = await open_vector_index(settings)
    await index.close()
    assert bool(logs) is warned
    assert "a-secret-key" not in f"{logs}{settings!r}{settings}"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"url": "qdrant:6334"}, "url must be"),
        ({"url": "ftp://qdrant"}, "url must be"),
        ({"url": "http://me:word@qdrant"}, "api_key"),
        ({"collection": "a/b"}, "collection"),
        ({"timeout_s": 0}, "timeout_s"),
        ({"retry": {"attempts": 0}}, "attempts"),
        ({"nonsense": 1}, "nonsense"),
    ],
)
def test_settings_that_cannot_work_are_refused_by_name(fields, reason):
    with pytest.raises(ValidationError, match=reason):
        VectorSettings(**fields)


async def test_vectors_can_be_quantised_in_process(tmp_path):
    index = await open_vector_index(VectorSettings(directory=tmp_path, quantisation=Quantisation.SCALAR))
    await index.prepare(spaces_of(REVISION))
    await index.write([create("a", axis(0))])
    assert await index.revisions([key("a")]) == {key("a"): 1}
    await index.close()
