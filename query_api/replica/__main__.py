"""`python -m query_api.replica`: the replica process with its settings from the environment."""

from query_api.replica.bootstrap import run_replica
from query_api.replica.settings import ReplicaSettings

run_replica(ReplicaSettings())
