"""`python -m tests.support.stack.process indexer|replica|api`: the real process from its own composition root.

One thing may be replaced: with `FERROFLUX_TEST_ENCODER=hashing` the encoder is the one without a model, so that a test
of everything around the encoder does not wait for inference.
"""

import os
import sys

import indexer.bootstrap
import query_api.bootstrap
from indexer.settings import IndexerSettings
from query_api.replica.bootstrap import run_replica
from query_api.replica.settings import ReplicaSettings
from query_api.settings import ApiSettings
from retrieval.encoders.hashing import HashingEncoder


def main(role: str) -> None:
    if os.environ.get("FERROFLUX_TEST_ENCODER") == "hashing":
        for module in (indexer.bootstrap, query_api.bootstrap):
            module.load_encoder = lambda _settings: HashingEncoder()
    match role:
        case "indexer":
            indexer.bootstrap.main(IndexerSettings())
        case "replica":
            run_replica(ReplicaSettings())
        case "api":
            query_api.bootstrap.run_api(ApiSettings())
        case _:
            sys.exit(f"no such role: {role}")


if __name__ == "__main__":
    main(sys.argv[1])
