"""Generations of the indexes: their records, what may become of them, and where the records lie."""
