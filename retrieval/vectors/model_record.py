"""The model revision that a collection carries, and the check that keeps vector spaces from mixing.

The record is the revision's fields as a JSON object: in the collection's metadata on a server, in a file beside the
shard with Edge. It is compared field by field, so the error can say what differs and a revision that gains a field in
a later release is told from one that lacks it.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from retrieval.encoders.port import ModelRevision
from schemas.errors import ModelMismatchError
from schemas.version import canonical_digest

RECORD_KEY: Final = "model_revision"
"""Under this key the collection's metadata holds the record."""


def revision_record(revision: ModelRevision) -> dict[str, Any]:
    """The revision as it is stored."""
    return asdict(revision)


def require_same_model(recorded: Mapping[str, Any] | None, revision: ModelRevision, *, where: str) -> None:
    """Check that a store was written by this very encoder; `where` names the store in the error.

    Raises:
        ModelMismatchError: it records another revision, or none at all.
    """
    if recorded is None:
        raise ModelMismatchError(
            f"{where} records no model revision, so nothing is known of its vectors; "
            f"choose another name for it, or delete it, to start with {revision.model} (revision {revision.id})"
        )
    wanted = revision_record(revision)
    if dict(recorded) == wanted:
        return
    differing = ", ".join(
        f"{name}: {recorded.get(name)!r} there, {wanted.get(name)!r} here"
        for name in sorted(wanted.keys() | recorded.keys())
        if recorded.get(name) != wanted.get(name)
    )
    raise ModelMismatchError(
        f"{where} was written by {recorded.get('model')} (revision {canonical_digest(dict(recorded))}), but this encoder "
        f"is {revision.model} (revision {revision.id}); they differ in {differing}. "
        "Start with the recorded model, or rebuild the collection."
    )
