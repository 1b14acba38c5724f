"""The embedded mode: broker, indexer, replica, search and page in one process over one data directory."""
