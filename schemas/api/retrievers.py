"""The names of the retrievers, as they stand in weights, signals and reports."""

from enum import StrEnum


class RetrieverName(StrEnum):
    """The ways in which a product can be found."""

    CODE = "code"
    """Its SKU, EAN or part number is in the query."""
    TEXT = "text"
    """Its words match (BM25)."""
    DENSE = "dense"
    """Its meaning is near (vector search)."""
    SPARSE = "sparse"
    """Words that its text stands for weigh like the query's (learned sparse vectors)."""
    REDIRECT = "redirect"
    """The shop put it first for exactly this query."""
    LIST = "list"
    """There was no query text: it meets the filters."""
