"""A real Apache Kafka broker for tests, and small clients to set the scene and to look at the result."""
