"""A small Qdrant server for tests: qdrant-client's own gRPC service stubs in front of Qdrant's engine (Edge).

It speaks what our adapter speaks, keeps its collections in a directory (restartable) or a temporary one, serves any
number of clients, and fails on demand. In a test's own event loop: `StandInServer`. As its own process:
`python -m tests.support.qdrant_grpc --port 6334 --dir DIR`, then `RemoteFaults(port)`.
"""

from tests.support.qdrant_grpc.faults import Fault, Faults, RemoteFaults
from tests.support.qdrant_grpc.server import StandInServer

__all__ = ["Fault", "Faults", "RemoteFaults", "StandInServer"]
