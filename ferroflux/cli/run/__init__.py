"""Commands that run a process: the embedded system, the indexer, the replica, the API."""
