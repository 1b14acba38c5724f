"""Complements: what is bought together with a product, by rules of the trade."""
