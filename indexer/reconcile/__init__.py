"""Comparing what the stores hold with the truth, and publishing what mends them."""
