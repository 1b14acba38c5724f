"""Choosing settings on judged queries, with figures from queries that the choice did not see."""
