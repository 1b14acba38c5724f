"""Generations inside `ferroflux up`: each a second vector index and text replica, fed from the journal."""
