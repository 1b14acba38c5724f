"""The indexer as a process: its progress, readiness, metrics, HTTP face and life cycle."""
