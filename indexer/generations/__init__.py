"""Generations on the indexer's side: building one beside the live one, and following every one that is prepared."""
