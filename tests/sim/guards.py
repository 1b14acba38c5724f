"""The guards of the design as switches: a test takes one away and expects the harness to notice."""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Guards:
    """All on, as in production. The classes stay the real ones; a switch replaces the one step that it names."""

    item_awaited: bool = True
    """A product has no document before an item event of it was seen."""
    compare_and_set: bool = True
    """The store applies a write only at the revision that it was computed from."""
    token: bool = True
    """The store's client reads back what took effect, since the store says "done" in any case."""
    tombstone: bool = True
    """A deleted product stays as a tombstone with its versions."""
    version: bool = True
    """The merge orders events by their versions, not by their arrival."""
    publish_lock: bool = True
    """A revocation waits for the batch, then ends its lease."""
    fence: bool = True
    """After a produce the writer reads the revisions back."""
    verifier: bool = True
    """The documents topic is read again by verifiers."""
    checkpoint: bool = True
    """The replica's position is committed with its data."""
    replica_revision: bool = True
    """The replica drops a document that is older than the one it holds."""
    replica_isolated: bool = True
    """A document that a replica cannot analyse stops no other."""
    ledger: bool = True
    """What a replica set apart is committed with its data."""
    restarted: bool = True
    """A background task that a defect of ours ended is begun again."""
    analysed_again: bool = True
    """A replica that starts analyses again what an earlier version could not."""
    letters_again: bool = True
    """A letter that could not be sent is sent again."""
    give_back: bool = True
    """What is left of a bulk load's poll is read again where it could not be worked on."""
    lane_epoch: bool = True
    """Pieces of a bulk load that were polled before a revocation are left alone after it."""
    diverted_first: bool = True
    """A snapshot read is in the bulk topic before the batch that brought it is committed."""
    isolated: bool = True
    """What one product shows sets it apart, and the others of its batch go on."""
    refusals_named: bool = True
    """A producer whose batch is refused sends the others, and says which record was refused."""
    shortened: bool = True
    """A document that is larger than its topic takes goes in a form that fits."""
    collect_guard: bool = True
    """A tombstone is removed only where it is still dead, at the revision that was listed."""
    replay_window: bool = True
    """A tombstone stays while the change log could still bring an older row."""
    max_ahead: bool = True
    """A clock that is ahead is a dead letter."""
    log_time: bool = True
    """And judged by the time at which the log took its record, whenever that is read."""
    source_epochs: bool = True
    """An event takes the epoch of its declared source."""
    since: bool = True
    """A record of an earlier log time keeps the epoch that its source had then."""
    sources_known: bool = True
    """Nothing is judged by a history of sources that may be old."""
    collection_compared: bool = True
    """Offsets and watermarks are believed of the vector store that they were committed of, and of no other."""
    topic_compared: bool = True
    """Offsets are believed of the topic that they were committed of, and of no other of its name."""
    journal: bool = True
    """Embedded: a batch is on disk before it is worked on and its producer answered."""
    watermark_last: bool = True
    """Embedded: a record counts as applied only when it is."""
    void_watermarks: bool = True
    """Embedded: watermarks are not believed after a power cut, or without the vector index that they speak of."""
    voided_durably: bool = True
    """Embedded: and that is written down, for a start that is killed in the middle of its repair."""
    noted_until_void: bool = True
    """Embedded: a machine that went down stays noted until then, however many starts are killed before."""
    compare: bool = True
    """Embedded: the stores are compared after a stop that was not clean, or where one of them is new."""
    raised: bool = True
    """Embedded: a product that fell behind its document is lifted above it."""
    drained: bool = True
    """Embedded: a stop is clean only when everything that was taken is in both stores."""

    def without(self, *names: str) -> "Guards":
        return replace(self, **dict.fromkeys(names, False))
