"""Text analysis: one pure function for documents and queries, so that both sides always agree."""
