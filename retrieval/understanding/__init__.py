"""Understanding a query before it is searched: quantities, exclusions, polite words, and what type of query it is."""
