"""One tree of errors, sorted by what the caller should do about them.

The three branches decide the fate of a record or a request: a `Retryable` is tried again with backoff, a `Poison`
goes to the dead letters with its reason, a `Fatal` stops the process with the remedy in its message. Where no message
is given, the docstring is the message.
"""

from __future__ import annotations

import inspect
from typing import ClassVar


class FerrofluxError(Exception):
    """Something in ferroflux failed. Read the message: it says what to do."""

    code: ClassVar[str] = "error"
    """Stable machine-readable name: the `reason` of a dead letter, the `type` of an HTTP problem, a metric's label."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or " ".join((inspect.getdoc(type(self)) or "").split()))


class RetryableError(FerrofluxError):
    """A dependency did not answer. Nothing is lost: the work is tried again with backoff until it succeeds."""

    code = "retryable"


class OverloadedError(RetryableError):
    """More is being asked than can be answered in time, so this was refused at once. Try again after the seconds that Retry-After names."""

    code = "too_many_requests"


class PoisonError(FerrofluxError):
    """This one record can never be processed as it is. It goes to the dead letters; fix its producer, then redrive."""

    code = "poison"


class FatalError(FerrofluxError):
    """The process cannot work with this configuration or data. Fix what the message names and start it again."""

    code = "fatal"


class UnparsableEventError(PoisonError):
    """The bytes are not a change event in JSON. Send the canonical form or Debezium's JSON; `ferroflux events check` tells which."""

    code = "unparsable"


class InvalidEventError(PoisonError):
    """The event is JSON but breaks the contract. Compare it with schemas/json/change-event.json and send it again."""

    code = "invalid_event"


class MissingKeyError(PoisonError):
    """The event names no SKU: no usable key, and no column that the mapping calls the key. Publish with a record key, or set REPLICA IDENTITY FULL."""

    code = "missing_key"


class UnsupportedChangeError(PoisonError):
    """The source changed a whole table at once (TRUNCATE), which names no SKU. Delete the tenant's products, or raise the source's epoch and snapshot again."""

    code = "unsupported_change"


class UnmappedTableError(PoisonError):
    """No entry of the mapping file matches the event's table. Add the table to the mapping, or list it under `ignore`."""

    code = "unmapped_table"


class UndeclaredSourceError(PoisonError):
    """The facet has declared sources, and the event is of none of them. Stop this source, or hand the facet over to it (`ferroflux facet handover`), then redrive."""

    code = "undeclared_source"


class VersionAheadError(PoisonError):
    """The version is a clock's, and lies further ahead of the log's time than `max_ahead_s` allows: it would keep every later change out. Set the source's clock right and send the row again."""

    code = "version_ahead"


class RowTooLargeError(PoisonError):
    """The row has more text than a product may have in one facet. Send long texts shortened; images and documents belong behind a URL."""

    code = "row_too_large"


class RecordTooLargeError(PoisonError):
    """A record is larger than its topic takes, so it can never be appended as it is. Raise the topic's max.message.bytes, or send less in one record."""

    code = "record_too_large"


class RecordRefusedError(PoisonError):
    """The brokers will never take this record: its form breaks a rule of its topic. Correct what made it; the detail names the rule."""

    code = "record_refused"


class InvalidMappingError(FatalError):
    """The mapping file is not valid. Correct the entry that the message names; `ferroflux events check` shows the effect."""

    code = "invalid_mapping"


class ConfigurationError(FatalError):
    """The settings contradict each other or name something that is not there. Change the setting that the message names."""

    code = "configuration"


class ModelMismatchError(FatalError):
    """The encoder is not the one that wrote this collection, and vector spaces never mix. Start with the recorded model, or rebuild the collection."""

    code = "model_mismatch"


class ModelNotFoundError(FatalError):
    """No model of that name or folder. Name a folder, a URL, or one of the built-in models; `ferroflux doctor` lists them."""

    code = "model_not_found"


class IncompatibleIndexError(FatalError):
    """The text index on disk was written by another schema or library version. Delete the folder: the replica rebuilds it from the log."""

    code = "incompatible_index"


class IndexInUseError(FatalError):
    """Another process owns this data directory. Stop it first, or choose another directory."""

    code = "index_in_use"


class StorageFullError(FatalError):
    """A file system has no room left for an index. Nothing is lost: give it room, or name another folder, and start again."""

    code = "storage_full"


class RefusedError(FerrofluxError):
    """A dependency refuses this one thing for what it is, now and later. It is set apart with what the dependency said; where it refuses many, the fault is ours or in the configuration."""

    code = "refused"


class StoreRefusedError(RefusedError):
    """The vector store refuses a point for what it holds. The detail has its words; mend the product, or the collection's configuration, then redrive."""

    code = "store_refused"


class StoreUnavailableError(RetryableError):
    """The vector store did not answer in time. The batch waits and is tried again; check that the store is up and reachable."""

    code = "store_unavailable"


class LogUnavailableError(RetryableError):
    """Kafka did not answer in time. The work waits and is tried again; check that the brokers are up and reachable."""

    code = "log_unavailable"


class ContentionError(RetryableError):
    """Other writers kept changing the same SKUs. The batch is read, merged and tried again; if it stays, look for a second consumer group."""

    code = "contention"


class InvalidRequestError(FerrofluxError):
    """The request is not valid. The detail names the field and what it may hold."""

    code = "invalid_request"


class NotFoundError(FerrofluxError):
    """There is no such product in this tenant's catalogue. Check the tenant and the SKU; `why_not` of a search tells more."""

    code = "not_found"


class NotReadyError(FerrofluxError):
    """The worker is not ready to answer. Try again in a moment; /readyz says what it waits for."""

    code = "not_ready"
