"""Kafka for every process of ours: options of clients, topics and their identities, the one writer, and topics that hold control records."""
