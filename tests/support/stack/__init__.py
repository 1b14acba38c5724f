"""The whole system as processes on one machine: indexers, replica and API over real Kafka and the Qdrant stand-in."""
