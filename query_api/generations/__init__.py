"""Generations on the query side: what answers now, what is loaded to answer next, and what is told of both."""
