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
    REDIRECT = "redirect"
    """The shop put it first for exactly this query."""
    LIST = "list"
    """There was no query text: it meets the filters."""
