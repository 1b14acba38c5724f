"""What a reconciliation found: counts, samples, and what was published to mend it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from indexer.reconcile.compare import Difference, Kind
from schemas.identity import SkuKey


@dataclass(slots=True)
class ReconcileReport:
    """One run. `rows` are rows of the truth, `products` those of the vector store that were gone through."""

    source: str
    rows: int = 0
    rejected: int = 0
    products: int = 0
    replica_compared: bool = False
    counts: Counter[Kind] = field(default_factory=Counter)
    samples: dict[Kind, list[Mapping[str, Any]]] = field(default_factory=dict)
    events_sent: int = 0
    republished: int = 0
    unmended: int = 0
    """Differences that were left as they are."""
    unreadable: int = 0
    """Products whose stored state cannot be read; the log names them. A new generation is built without them."""

    unbeatable: int = 0
    """Differences that no version can mend: what is stored carries the largest version of the largest epoch."""
    epochs_begun: int = 0
    """Differences whose mending begins a new epoch, because what is stored carries the largest version of its own."""

    @property
    def agree(self) -> bool:
        """Whether nothing differs, and everything could be compared."""
        return not self.counts and not self.unreadable

    def count(self, kind: Kind, sample: Mapping[str, Any], *, samples: int) -> None:
        """Add one difference, and keep it as a sample where there are not enough of its kind yet."""
        self.counts[kind] += 1
        kept = self.samples.setdefault(kind, [])
        if len(kept) < samples:
            kept.append(sample)

    def summary(self) -> dict[str, Any]:
        """The last line of the command: one JSON object."""
        return {
            "source": self.source,
            "rows": self.rows,
            "rejected": self.rejected,
            "products": self.products,
            "replica_compared": self.replica_compared,
            "agree": self.agree,
            "differences": {kind.value: self.counts[kind] for kind in Kind if self.counts[kind]},
            "events_sent": self.events_sent,
            "republished": self.republished,
            "unmended": self.unmended,
            "unreadable": self.unreadable,
            "unbeatable": self.unbeatable,
            "epochs_begun": self.epochs_begun,
        }


def difference_sample(difference: Difference) -> dict[str, Any]:
    """A difference for people and programs: the register, and version and content digest on both sides."""
    key, facet = difference.register
    sample: dict[str, Any] = {"kind": difference.kind.value, "key": str(key), "facet": facet}
    for name, side in (("truth", difference.truth), ("stored", difference.stored)):
        version = None if side is None or side.version is None else str(side.version)
        sample[name] = None if side is None else {"version": version, "content": side.digest}
    if difference.begun_epoch is not None:
        sample["remedy"] = (
            f"what is stored carries the largest version of its epoch: mending begins epoch {difference.begun_epoch}; raise the source's "
            "epoch to it (in the mapping, or --epoch), or its later changes are older"
        )
    if difference.unbeatable:
        sample["remedy"] = (
            "what is stored carries the largest version of the largest epoch: no event wins over it; `ferroflux facet reset --help` "
            "says how a frozen facet is freed"
        )
    return sample


def document_sample(
    kind: Kind, key: SkuKey, *, stored: int | None, replica: int | None, published: int | None = None
) -> dict[str, Any]:
    """A product on which the stores differ, with the revision that each holds, and that of the truth's document where it is of any."""
    sample = {"kind": kind.value, "key": str(key), "stored_rev": stored, "replica_rev": replica}
    return sample if published is None else sample | {"published_rev": published}
