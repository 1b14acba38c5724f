"""Change events to indexes: plan, pipeline, dead letters, the Kafka consumer and its process."""
