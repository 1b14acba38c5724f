"""The clock of the indexer's processes."""
