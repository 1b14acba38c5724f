"""The indexer's side of Kafka: topics and groups, the consumer, reading beside it, and what is published."""
