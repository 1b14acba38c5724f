"""The vector index on Qdrant Edge: Qdrant's engine in this process, on a local directory."""
