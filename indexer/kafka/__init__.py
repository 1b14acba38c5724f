"""The indexer's side of Kafka: connection options, topics, the consumer and the producers."""
