"""Reranking: cross-encoders that read the query and a product together, under a time budget."""
