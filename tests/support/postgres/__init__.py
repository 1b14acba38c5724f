"""A real PostgreSQL server for tests, ready for logical replication."""
