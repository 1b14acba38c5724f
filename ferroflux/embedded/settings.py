"""The settings of the embedded system: those of its processes, with what the launcher decides put over them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ferroflux.data_directory import DataDirectory
from ferroflux.embedded.broker import EmbeddedBroker
from indexer.settings import IndexerSettings
from query_api.replica.settings import TailSettings
from query_api.settings import ApiSettings, HttpSettings
from retrieval.text.settings import TextIndexSettings
from retrieval.vectors.settings import VectorSettings, VectorStoreKind
from schemas.topics import KafkaSettings

_BATCH_RECORDS: Final = 256
_LIVE_SLICE_S: Final = 0.3
"""A producer's answer waits for the piece before its own: some thirty texts, whose inference takes that long, or all of
256 prices, which then share one synced journal entry."""

_FETCH_BYTES: Final = 512 * 1024
_FETCH_WAIT_MS: Final = 10
_EMBED_CHUNK: Final = 16
"""Texts encoded in one go: a search's own text waits for no more than that on a busy processor."""


@dataclass(frozen=True, slots=True)
class EmbeddedOptions:
    """What the command line says. `kafka_port` 0 takes any free port; `http_port` 0 likewise."""

    directory: DataDirectory
    http_host: str
    http_port: int
    kafka_port: int = 0
    sample: bool = True
    insecure_open: bool = False

    def http(self, settings: HttpSettings) -> HttpSettings:
        """The environment's settings of the HTTP face, with what the command line says over them."""
        return settings.model_copy(
            update={
                "host": self.http_host,
                "port": self.http_port,
                "insecure_open": self.insecure_open or settings.insecure_open,
            }
        )


@dataclass(frozen=True, slots=True)
class EmbeddedSettings:
    """The settings of each part, ready for its composition root."""

    indexer: IndexerSettings
    api: ApiSettings
    tail: TailSettings
    text: TextIndexSettings
    vectors: VectorSettings
    kafka: KafkaSettings

    @classmethod
    def of(cls, options: EmbeddedOptions, broker: EmbeddedBroker) -> EmbeddedSettings:
        """The environment's settings; address and directories are the launcher's.

        Raises:
            pydantic.ValidationError: a variable of the environment is not valid.
        """
        directory = options.directory
        indexer, api = IndexerSettings(), ApiSettings()
        kafka = KafkaSettings(bootstrap=broker.address, topics=indexer.kafka.topics, create_topics=False)
        vectors = indexer.vectors.model_copy(update={"kind": VectorStoreKind.EDGE, "directory": directory.vectors})
        consumer = indexer.consumer.model_copy(
            update={
                "batch_records": _BATCH_RECORDS,
                "live_slice_s": _LIVE_SLICE_S,
                "partition_fetch_bytes": _FETCH_BYTES,
                "fetch_wait_ms": _FETCH_WAIT_MS,
                "embed_chunk": _EMBED_CHUNK,
            }
        )
        http = options.http(api.http)
        return cls(
            indexer=indexer.model_copy(update={"kafka": kafka, "vectors": vectors, "consumer": consumer}),
            api=api.model_copy(
                update={
                    "vectors": vectors,
                    "http": http,
                    "text": api.text.model_copy(update={"directory": directory.text}),
                }
            ),
            tail=TailSettings(fetch_wait_ms=_FETCH_WAIT_MS),
            text=TextIndexSettings(directory=directory.text),
            vectors=vectors,
            kafka=kafka,
        )
