"""Real Debezium for tests: its PostgreSQL connector in Kafka Connect's standalone mode."""
