"""Hybrid search over the indexes: the retrievers, their fusion, and hydrated hits with signals."""
