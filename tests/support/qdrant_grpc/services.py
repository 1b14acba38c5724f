"""The three gRPC services as far as our adapter uses them. One event loop runs them, so each effect is atomic."""
# ruff: noqa: N802 -- the method names are the protocol's

import asyncio
import inspect
import time
from collections.abc import Callable
from typing import Any, NoReturn

import grpc
import qdrant_edge as edge
from qdrant_client import grpc as wire

from tests.support.qdrant_grpc import convert
from tests.support.qdrant_grpc.collections import Collection, Collections
from tests.support.qdrant_grpc.faults import Fault, Faults

UPDATE_MODES = {
    wire.UpdateMode.Upsert: edge.UpdateMode.Upsert,
    wire.UpdateMode.InsertOnly: edge.UpdateMode.InsertOnly,
    wire.UpdateMode.UpdateOnly: edge.UpdateMode.UpdateOnly,
}
INDEX_TYPES = {
    wire.FieldType.FieldTypeKeyword: edge.KeywordIndexParams,
    wire.FieldType.FieldTypeInteger: edge.IntegerIndexParams,
    wire.FieldType.FieldTypeFloat: edge.FloatIndexParams,
    wire.FieldType.FieldTypeBool: edge.BoolIndexParams,
}
SCHEMA_TYPES = {
    wire.FieldType.FieldTypeKeyword: wire.PayloadSchemaType.Keyword,
    wire.FieldType.FieldTypeInteger: wire.PayloadSchemaType.Integer,
    wire.FieldType.FieldTypeFloat: wire.PayloadSchemaType.Float,
    wire.FieldType.FieldTypeBool: wire.PayloadSchemaType.Bool,
}
POINTS_A_STEP = 32
BEFORE = {
    Fault.UNAVAILABLE_BEFORE: grpc.StatusCode.UNAVAILABLE,
    Fault.INTERNAL: grpc.StatusCode.INTERNAL,
    Fault.UNAUTHENTICATED: grpc.StatusCode.UNAUTHENTICATED,
}


async def refuse(context: grpc.aio.ServicerContext, code: grpc.StatusCode, reason: str) -> NoReturn:
    await context.abort(code, reason)
    raise AssertionError("abort raises")


class Served:
    """What the services share: the collections, the faults, and one way to run a method between them."""

    def __init__(self, collections: Collections, faults: Faults, *, build_indexes: bool) -> None:
        self.collections = collections
        self.faults = faults
        self.build_indexes = build_indexes

    async def collection(self, name: str, context: grpc.aio.ServicerContext) -> Collection:
        if name not in self.collections:
            await refuse(context, grpc.StatusCode.NOT_FOUND, f"Not found: Collection `{name}` doesn't exist!")
        return self.collections[name]

    async def run(
        self,
        method: str,
        context: grpc.aio.ServicerContext,
        effect: Callable[[], Any],
        *,
        half: Callable[[], Any] | None = None,
        ignored: Callable[[wire.UpdateStatus], Any] | None = None,
    ) -> Any:
        await self.faults.pass_gate(method)
        injected = self.faults.take(method)
        fault = injected.fault if injected else None
        if fault in BEFORE:
            await refuse(context, BEFORE[fault], "injected")
        if fault is Fault.SLOW_BEFORE:
            await asyncio.sleep(injected.delay_s)
        if fault is Fault.IGNORE:
            return ignored(wire.UpdateStatus.Completed)
        if fault is Fault.WAIT_TIMEOUT:
            return ignored(wire.UpdateStatus.WaitTimeout)
        try:
            if fault is Fault.HALF:
                half()
                await refuse(context, grpc.StatusCode.UNAVAILABLE, "injected in the middle of a batch")
            answer = effect()
            if inspect.isawaitable(answer):
                answer = await answer
        except convert.UnsupportedError as error:
            await refuse(context, grpc.StatusCode.INVALID_ARGUMENT, str(error))
        except (grpc.aio.AbortError, asyncio.CancelledError):
            raise
        except Exception as error:  # noqa: BLE001 -- Edge raises bare Exception; the wire carries it to the client
            await refuse(context, grpc.StatusCode.INVALID_ARGUMENT, str(error))
        if fault is Fault.SLOW_AFTER:
            await asyncio.sleep(injected.delay_s)
        if fault is Fault.UNAVAILABLE_AFTER:
            await refuse(context, grpc.StatusCode.UNAVAILABLE, "injected after the effect")
        return answer


def upsert_of(points: list[edge.Point], request: Any) -> edge.UpdateOperation:
    guard = convert.optional_filter(request, "update_filter")
    return edge.UpdateOperation.upsert_points(points, guard, UPDATE_MODES[request.update_mode])


def delete_of(request: Any) -> edge.UpdateOperation:
    guard = convert.optional_filter(request.points, "filter")
    if guard is None:
        raise convert.UnsupportedError("a delete without a filter")
    return edge.UpdateOperation.delete_points_by_filter(guard)


async def upsert_in_steps(upsert: Any) -> edge.UpdateOperation:
    points: list[edge.Point] = []
    for number, point in enumerate(upsert.points, start=1):
        points.append(convert.point_from_wire(point))
        if number % POINTS_A_STEP == 0:
            await asyncio.sleep(0)
    return upsert_of(points, upsert)


def completed(numbers: list[int], started: float) -> wire.UpdateBatchResponse:
    results = [wire.UpdateResult(operation_id=number, status=wire.UpdateStatus.Completed) for number in numbers]
    return wire.UpdateBatchResponse(result=results, time=time.perf_counter() - started)


class Points(wire.PointsServicer):
    def __init__(self, served: Served) -> None:
        self._served = served

    async def UpdateBatch(self, request: wire.UpdateBatchPoints, context: grpc.aio.ServicerContext) -> Any:
        collection = await self._served.collection(request.collection_name, context)
        started = time.perf_counter()

        def upserts() -> list[Any]:
            for operation in request.operations:
                if operation.WhichOneof("operation") != "upsert":
                    raise convert.UnsupportedError(f"operation {operation.WhichOneof('operation')}")
            return [operation.upsert for operation in request.operations]

        async def effect() -> wire.UpdateBatchResponse:
            if all(operation.WhichOneof("operation") == "delete_points" for operation in request.operations):
                return completed(
                    [collection.apply(delete_of(one.delete_points)) for one in request.operations], started
                )
            # Reading 256 points off the wire takes tens of milliseconds of Python: queries get their turn in between.
            # The updates themselves come last, without a pause, so a request stays one effect.
            operations = [await upsert_in_steps(upsert) for upsert in upserts()]
            return completed([collection.apply(operation) for operation in operations], started)

        def half() -> None:
            for upsert in upserts():
                points = [convert.point_from_wire(point) for point in upsert.points[: len(upsert.points) // 2]]
                if points:
                    collection.apply(upsert_of(points, upsert))

        def ignored(status: wire.UpdateStatus) -> wire.UpdateBatchResponse:
            return wire.UpdateBatchResponse(result=[wire.UpdateResult(status=status) for _ in request.operations])

        return await self._served.run("UpdateBatch", context, effect, half=half, ignored=ignored)

    async def Get(self, request: wire.GetPoints, context: grpc.aio.ServicerContext) -> Any:
        collection = await self._served.collection(request.collection_name, context)

        def effect() -> wire.GetResponse:
            points = collection.shard.retrieve(
                convert.ids_from_wire(request.ids),
                convert.with_payload(request.with_payload),
                convert.with_vectors(request.with_vectors),
            )
            return wire.GetResponse(result=[convert.point_to_wire(point) for point in points])

        return await self._served.run("Get", context, effect)

    async def Query(self, request: wire.QueryPoints, context: grpc.aio.ServicerContext) -> Any:
        collection = await self._served.collection(request.collection_name, context)

        def effect() -> wire.QueryResponse:
            query = edge.QueryRequest(
                limit=request.limit,
                query=edge.Query.Nearest(convert.vector_input_from_wire(request.query.nearest), using=request.using),
                filter=convert.optional_filter(request, "filter"),
                with_payload=convert.with_payload(request.with_payload),
                with_vector=False,
            )
            return wire.QueryResponse(result=[convert.hit_to_wire(hit) for hit in collection.shard.query(query)])

        return await self._served.run("Query", context, effect)

    async def Scroll(self, request: wire.ScrollPoints, context: grpc.aio.ServicerContext) -> Any:
        collection = await self._served.collection(request.collection_name, context)

        def effect() -> wire.ScrollResponse:
            wanted = edge.ScrollRequest(
                offset=request.offset.uuid if request.HasField("offset") else None,
                limit=request.limit,
                filter=convert.optional_filter(request, "filter"),
                with_payload=convert.with_payload(request.with_payload),
                with_vector=convert.with_vectors(request.with_vectors),
                order_by=edge.OrderBy(request.order_by.key) if request.HasField("order_by") else None,
            )
            points, following = collection.shard.scroll(wanted)
            return wire.ScrollResponse(
                result=[convert.point_to_wire(point) for point in points],
                next_page_offset=None if following is None else wire.PointId(uuid=str(following)),
            )

        return await self._served.run("Scroll", context, effect)

    async def Count(self, request: wire.CountPoints, context: grpc.aio.ServicerContext) -> Any:
        collection = await self._served.collection(request.collection_name, context)

        def effect() -> wire.CountResponse:
            counted = edge.CountRequest(exact=request.exact, filter=convert.optional_filter(request, "filter"))
            return wire.CountResponse(result=wire.CountResult(count=collection.shard.count(counted)))

        return await self._served.run("Count", context, effect)

    async def CreateFieldIndex(
        self, request: wire.CreateFieldIndexCollection, context: grpc.aio.ServicerContext
    ) -> Any:
        collection = await self._served.collection(request.collection_name, context)

        def effect() -> wire.PointsOperationResponse:
            collection.indexes[request.field_name] = SCHEMA_TYPES[request.field_type]
            if self._served.build_indexes:
                schema = INDEX_TYPES[request.field_type]()
                collection.apply(edge.UpdateOperation.create_field_index(request.field_name, schema))
            return wire.PointsOperationResponse(result=wire.UpdateResult(status=wire.UpdateStatus.Completed))

        return await self._served.run("CreateFieldIndex", context, effect)


class CollectionsService(wire.CollectionsServicer):
    def __init__(self, served: Served) -> None:
        self._served = served

    async def CollectionExists(self, request: Any, context: grpc.aio.ServicerContext) -> Any:
        def effect() -> wire.CollectionExistsResponse:
            exists = request.collection_name in self._served.collections
            return wire.CollectionExistsResponse(result=wire.CollectionExists(exists=exists))

        return await self._served.run("CollectionExists", context, effect)

    async def Create(self, request: wire.CreateCollection, context: grpc.aio.ServicerContext) -> Any:
        def effect() -> wire.CollectionOperationResponse:
            if request.collection_name in self._served.collections:
                raise convert.UnsupportedError(f"Wrong input: Collection `{request.collection_name}` already exists!")
            description = {
                "vectors": {name: params.size for name, params in request.vectors_config.params_map.map.items()},
                "sparse": list(request.sparse_vectors_config.map),
                "metadata": convert.payload_from_wire(request.metadata),
                "hnsw": {"m": 16, "ef_construct": 100} | convert.fields_of(request.hnsw_config),
                "quantisation": request.quantization_config.WhichOneof("quantization"),
            }
            self._served.collections.create(request.collection_name, description)
            return wire.CollectionOperationResponse(result=True)

        return await self._served.run("Create", context, effect)

    async def Update(self, request: wire.UpdateCollection, context: grpc.aio.ServicerContext) -> Any:
        collection = await self._served.collection(request.collection_name, context)

        def effect() -> wire.CollectionOperationResponse:
            collection.add_metadata(convert.payload_from_wire(request.metadata))
            collection.change(
                convert.fields_of(request.hnsw_config), request.quantization_config.WhichOneof("quantization")
            )
            return wire.CollectionOperationResponse(result=True)

        return await self._served.run("Update", context, effect)

    async def Delete(self, request: wire.DeleteCollection, context: grpc.aio.ServicerContext) -> Any:
        def effect() -> wire.CollectionOperationResponse:
            return wire.CollectionOperationResponse(result=self._served.collections.delete(request.collection_name))

        return await self._served.run("Delete", context, effect)

    async def Get(self, request: Any, context: grpc.aio.ServicerContext) -> Any:
        collection = await self._served.collection(request.collection_name, context)

        def effect() -> wire.GetCollectionInfoResponse:
            return wire.GetCollectionInfoResponse(result=describe(collection))

        return await self._served.run("GetCollection", context, effect)


def describe(collection: Collection) -> wire.CollectionInfo:
    info = collection.shard.info()
    vectors = {
        name: wire.VectorParams(size=size, distance=wire.Distance.Cosine)
        for name, size in collection.description["vectors"].items()
    }
    return wire.CollectionInfo(
        status=wire.CollectionStatus.Green,
        optimizer_status=wire.OptimizerStatus(ok=True),
        segments_count=info.segments_count,
        points_count=info.points_count,
        payload_schema={
            field: wire.PayloadSchemaInfo(data_type=data_type) for field, data_type in collection.indexes.items()
        },
        config=wire.CollectionConfig(
            params=wire.CollectionParams(
                shard_number=1,
                vectors_config=wire.VectorsConfig(params_map=wire.VectorParamsMap(map=vectors)),
            ),
            hnsw_config=wire.HnswConfigDiff(
                **{"m": 16, "ef_construct": 100, "full_scan_threshold": 10_000} | collection.description.get("hnsw", {})
            ),
            quantization_config=wire.QuantizationConfig(scalar=wire.ScalarQuantization(type=wire.QuantizationType.Int8))
            if collection.description.get("quantisation")
            else None,
            optimizer_config=wire.OptimizersConfigDiff(
                deleted_threshold=0.2, vacuum_min_vector_number=1000, default_segment_number=0, flush_interval_sec=5
            ),
            wal_config=wire.WalConfigDiff(wal_capacity_mb=32, wal_segments_ahead=0),
            metadata=convert.payload_to_wire(collection.description["metadata"]),
        ),
    )


class Health(wire.QdrantServicer):
    def __init__(self, version: str) -> None:
        self._version = version

    async def HealthCheck(self, request: Any, context: grpc.aio.ServicerContext) -> Any:
        return wire.HealthCheckReply(title="qdrant stand-in", version=self._version)
