"""What a start has to repair, decided from what it finds on disk. Pure.

Three things are on disk: the journal, which decides what happened, and the two stores, which can be behind it. A store
whose folder was deleted (by hand, by a clean-up, with a replaced disk) is behind by everything, however orderly the
stop was, and nothing but its emptiness says so. One whose folder is another's (a copy of another installation, a backup put
back) is told by its id, which the journal notes.
"""

from __future__ import annotations

from dataclasses import dataclass

from ferroflux.embedded.storage.ownership import PreviousStop


@dataclass(frozen=True, slots=True)
class Found:
    """What a start finds: how the last owner ended, and which stores are made anew.

    `vectors_are_new`: the vector index's folder holds none; `vectors_are_others`: it holds another one than the journal's
    watermarks speak of. `replica_is_new`: the text replica has no checkpoint,
    so it has never committed anything.
    """

    previous: PreviousStop
    vectors_are_new: bool = False
    vectors_are_others: bool = False
    replica_is_new: bool = False

    @property
    def vectors_were_lost(self) -> bool:
        """Whether the vector index that the journal filled is not there."""
        return self.vectors_are_new or self.vectors_are_others

    @property
    def watermarks_are_void(self) -> bool:
        """Whether the journal's watermarks speak of writes that are gone, or may be, so that all of it is applied again.

        They are gone with the vector index; and a machine that went down may have kept a watermark on disk without the
        writes that it speaks of.
        """
        return self.vectors_were_lost or self.previous is PreviousStop.MACHINE_DOWN

    @property
    def stores_may_differ(self) -> bool:
        """Whether every product has to be compared between the stores, for the topic that connected them is gone."""
        return self.previous is not PreviousStop.CLEAN or self.vectors_were_lost or self.replica_is_new
