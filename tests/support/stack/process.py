"""`python -m tests.support.stack.process indexer|replica|api|cli …`: the real process from its own composition root.

One thing may be replaced: with `FERROFLUX_TEST_ENCODER=hashing` the encoder is the one without a model, so that a test
of everything around the encoder does not wait for inference. With `slow` it takes a fixed time for each text, as a large
model on a small machine does, so that a test of overload has one. Background tasks can be struck (`task_faults`).
"""

import os
import sys
import time
from collections.abc import Sequence
from typing import Any

import ferroflux.cli.main
import ferroflux.operations.production
import indexer.process.bootstrap
import indexer.process.offline
import query_api.bootstrap
import retrieval.serving.parts
from indexer.settings import IndexerSettings
from query_api.replica.bootstrap import run_replica
from query_api.replica.settings import ReplicaSettings
from query_api.settings import ApiSettings
from retrieval.encoders.port import Matrix
from retrieval.testing import HashingEncoder
from tests.support.stack import task_faults

_SECONDS_PER_TEXT = 0.02


class SlowEncoder(HashingEncoder):
    """Fifty texts a second."""

    def encode_passages(self, texts: Sequence[str]) -> Matrix:
        time.sleep(_SECONDS_PER_TEXT * len(texts))
        return super().encode_passages(texts)


_ENCODERS = {"hashing": HashingEncoder, "slow": SlowEncoder}


def _embedded(arguments: Sequence[str]) -> tuple[Any, ...]:
    if arguments[:1] != ("up",):
        return ()
    import ferroflux.embedded.system  # noqa: PLC0415 - half a second that only `up` needs

    return (ferroflux.embedded.system,)


def main(role: str, *arguments: str) -> None:
    task_faults.install(os.environ.get(task_faults.VARIABLE, ""))
    encoder = _ENCODERS.get(os.environ.get("FERROFLUX_TEST_ENCODER", ""))
    if encoder is not None:
        patched: tuple[Any, ...] = (
            indexer.process.bootstrap,
            indexer.process.offline,
            retrieval.serving.parts,
            ferroflux.operations.production,
            *_embedded(arguments),
        )
        for module in patched:
            # Another dimension is another model: what a test of generations needs of a second one.
            module.load_encoder = lambda settings: encoder(settings.truncate_dimension or 64)
    match role:
        case "indexer":
            indexer.process.bootstrap.main(IndexerSettings())
        case "replica":
            run_replica(ReplicaSettings())
        case "api":
            query_api.bootstrap.run_api(ApiSettings())
        case "cli":
            ferroflux.cli.main.main(list(arguments))
        case _:
            sys.exit(f"no such role: {role}")


if __name__ == "__main__":
    main(*sys.argv[1:])
