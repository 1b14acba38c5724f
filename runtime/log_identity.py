"""Which log a checkpoint is of: the cluster's id and, where it is known, the topic's own, as one text.

    cluster            as the release before wrote it, or where the topic's id could not be known
    cluster/topic id   a topic that was deleted and created again is another log

A checkpoint without the topic's id counts as one of the present log: it is adopted, and written with the id from then on.
"""

from __future__ import annotations


def log_identity(cluster: str, topic_id: str | None) -> str:
    """The identity of one topic's log."""
    return f"{cluster}/{topic_id}" if topic_id else cluster


def is_same_log(recorded: str, present: str) -> bool:
    """Whether offsets that were recorded of one log mean the same in the other."""
    if recorded == present:
        return True
    (cluster, topic_id), (present_cluster, present_id) = _parts(recorded), _parts(present)
    return cluster == present_cluster and not (topic_id and present_id)


def fullest_identity(recorded: str, present: str) -> str:
    """The one of two identities of the same log that knows the topic's id: it is not forgotten where it cannot be asked."""
    return recorded if _parts(recorded)[1] and not _parts(present)[1] else present


def _parts(identity: str) -> tuple[str, str]:
    cluster, _, topic_id = identity.partition("/")
    return cluster, topic_id
