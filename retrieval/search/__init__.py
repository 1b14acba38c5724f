"""Hybrid search over the indexes: the legs, their fusion, and hydrated hits with signals."""
