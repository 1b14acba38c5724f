"""The guards of the design as switches: a test takes one away and expects the harness to notice."""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Guards:
    """All on, as in production. The classes stay the real ones; a switch replaces the one step that it names."""

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

    def without(self, *names: str) -> "Guards":
        return replace(self, **dict.fromkeys(names, False))
