"""Garbage collection: tombstones that no replay can reach any more are removed from every store."""
