"""Learned sparse encoders (SPLADE): a weight for each word of a vocabulary, expansions included, from a masked language model."""
