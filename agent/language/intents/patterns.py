"""Patterns out of tables of phrases."""

from __future__ import annotations


def any_of(phrases: tuple[str, ...]) -> str:
    """One pattern that fits where one of these does, the earlier ones first."""
    return "(?:" + "|".join(phrases) + ")"
