"""Change events as they arrive: the canonical JSON form, Debezium's, and the one parser that tells them apart."""
