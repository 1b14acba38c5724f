"""The vector index on a Qdrant server or cluster, by gRPC."""
