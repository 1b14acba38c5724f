"""The collection: made with its spaces where it is absent, checked where it is there.

Several processes may prepare the same collection at once. The record of the spaces is part of the request that creates it,
so there is no moment at which it exists without one, and each later step is harmless to repeat.
"""

from collections.abc import Mapping
from typing import Any, Final

import structlog
from qdrant_client import AsyncQdrantClient, models

from retrieval.vectors import record
from retrieval.vectors.qdrant.calls import StoreCalls
from retrieval.vectors.record import IDENTITY_KEY, adopted_identity, new_identity
from retrieval.vectors.settings import Quantisation, VectorSettings
from retrieval.vectors.spaces import RECORD_KEY, SpaceKind, Spaces, require_same_spaces
from schemas.errors import ConfigurationError, NotReadyError

log = structlog.get_logger(__name__)

OLDEST_SERVER: Final = (1, 17)
"""The first release that knows `update_mode`; an older one ignores it in silence, and a create would overwrite."""


async def require_recent_server(client: AsyncQdrantClient, calls: StoreCalls) -> None:
    """Check that the server knows the guards that our writes rely on.

    Raises:
        ConfigurationError: it is older than `OLDEST_SERVER`.
    """
    version = (await calls("say its version", client.info)).version
    major, minor = (int(part) for part in version.split(".")[:2])
    if (major, minor) < OLDEST_SERVER:
        oldest = ".".join(map(str, OLDEST_SERVER))
        raise ConfigurationError(f"the Qdrant server is {version}; guarded writes need {oldest} or later")


async def metadata_of(client: AsyncQdrantClient, calls: StoreCalls, name: str) -> Mapping[str, Any] | None:
    """What the collection's metadata holds; None where there is no such collection."""
    if not await calls("look for the collection", lambda: client.collection_exists(name)):
        return None
    info = await calls("describe the collection", lambda: client.get_collection(name))
    return info.config.metadata or {}


async def identify_collection(client: AsyncQdrantClient, calls: StoreCalls, name: str) -> str:
    """The collection's id; where it has none, it is given one.

    Raises:
        NotReadyError: there is no such collection.
    """
    held = await metadata_of(client, calls, name)
    if held is None:
        raise NotReadyError(f"there is no collection {name!r} yet; an indexer makes it when it starts")
    if IDENTITY_KEY not in held:
        # The server merges it into the metadata that is there.
        given = {IDENTITY_KEY: adopted_identity(name)}
        await calls("give the collection its id", lambda: client.update_collection(name, metadata=given))
        log.info("collection was given an id", collection=name, collection_id=given[IDENTITY_KEY])
        return given[IDENTITY_KEY]
    return str(held[IDENTITY_KEY])


async def ensure_collection(
    client: AsyncQdrantClient, calls: StoreCalls, settings: VectorSettings, spaces: Spaces, *, indexes: bool
) -> None:
    """Create what is absent of the collection and its payload indexes, and check the recorded spaces.

    Raises:
        ModelMismatchError: the collection was written by other encoders.
    """
    name = settings.collection
    if not await calls("look for the collection", lambda: client.collection_exists(name)):
        await _create(client, calls, settings, spaces)
    info = await calls("describe the collection", lambda: client.get_collection(name))
    recorded = (info.config.metadata or {}).get(RECORD_KEY)
    require_same_spaces(recorded, spaces, where=f"collection {name!r}")
    if not indexes:
        return
    for field, schema in _payload_indexes().items():
        if field not in info.payload_schema:
            await calls(
                "index a payload field",
                lambda field=field, schema=schema: client.create_payload_index(name, field, schema, wait=True),  # type: ignore[misc]  # mypy cannot type a lambda that binds its loop variables
            )


async def apply_settings(client: AsyncQdrantClient, calls: StoreCalls, settings: VectorSettings) -> None:
    """Give the collection the graph and the quantisation of the settings; the server builds anew what that changes, while it serves."""
    name = settings.collection
    held = (await calls("describe the collection", lambda: client.get_collection(name))).config
    hnsw, quantisation = _hnsw(settings), _quantisation(settings.quantisation)
    if hnsw.payload_m is None and held.hnsw_config.payload_m is not None:
        hnsw.payload_m = hnsw.m
    graph = hnsw.model_dump(exclude_none=True)
    is_scalar = isinstance(held.quantization_config, models.ScalarQuantization)
    quantised = is_scalar if quantisation is not None else held.quantization_config is None
    if quantised and graph.items() <= held.hnsw_config.model_dump().items():
        return
    await calls(
        "change the collection's settings",
        lambda: client.update_collection(
            name, hnsw_config=hnsw, quantization_config=quantisation or models.Disabled.DISABLED
        ),
    )
    log.info("collection was given the settings", collection=name, hnsw=graph, quantisation=str(settings.quantisation))


async def _create(client: AsyncQdrantClient, calls: StoreCalls, settings: VectorSettings, spaces: Spaces) -> None:
    async def create() -> bool:
        # A process beside us, or a first try whose answer was lost, may have made it since we looked.
        if await client.collection_exists(settings.collection):
            return False
        return await client.create_collection(
            settings.collection,
            vectors_config={
                name: models.VectorParams(
                    size=space.dimension,
                    distance=models.Distance(space.distance),
                    quantization_config=_quantisation(space.quantisation),
                )
                for name, space in spaces.items()
                if space.kind is SpaceKind.DENSE
            },
            sparse_vectors_config={
                name: models.SparseVectorParams() for name, space in spaces.items() if space.kind is SpaceKind.SPARSE
            }
            or None,
            hnsw_config=_hnsw(settings),
            quantization_config=_quantisation(settings.quantisation),
            shard_number=settings.shards,
            replication_factor=settings.replicas,
            write_consistency_factor=settings.replicas // 2 + 1,
            metadata={RECORD_KEY: spaces.record(), IDENTITY_KEY: new_identity()},
        )

    try:
        created = await calls("create the collection", create)
    except ConfigurationError:
        # The server answers INVALID_ARGUMENT to the slower of two creators.
        if not await calls("look for the collection", lambda: client.collection_exists(settings.collection)):
            raise
        created = False
    if created:
        log.info(
            "collection created",
            collection=settings.collection,
            spaces={name: space.revision for name, space in spaces.items()},
        )


def _hnsw(settings: VectorSettings) -> models.HnswConfigDiff:
    hnsw = settings.hnsw
    return models.HnswConfigDiff(m=hnsw.m, payload_m=hnsw.payload_m, ef_construct=hnsw.ef_construct)


def _quantisation(chosen: Quantisation | None) -> models.ScalarQuantization | None:
    if chosen is not Quantisation.SCALAR:
        return None
    return models.ScalarQuantization(scalar=models.ScalarQuantizationConfig(type=models.ScalarType.INT8))


def _payload_indexes() -> dict[str, models.PayloadSchemaType | models.KeywordIndexParams | models.IntegerIndexParams]:
    """Every field that a filter or a guard names, so that a server in strict mode accepts both."""
    keyword, integer = models.KeywordIndexType.KEYWORD, models.IntegerIndexType.INTEGER
    return {
        record.TENANT: models.KeywordIndexParams(type=keyword, is_tenant=True),
        **{field: models.KeywordIndexParams(type=keyword) for field in record.KEYWORD_FIELDS},
        **{field: models.IntegerIndexParams(type=integer, lookup=True, range=False) for field in record.INTEGER_FIELDS},
        **dict.fromkeys(record.FLOAT_FIELDS, models.PayloadSchemaType.FLOAT),
    }
