"""Generations on the indexer's side: what a build reads, its backfill, and what one generation does for all of them."""
