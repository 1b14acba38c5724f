"""Stand-ins for everything around the indexer's pipeline, and a scheduler that decides who runs next."""
