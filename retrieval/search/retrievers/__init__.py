"""The retrievers: each finds products its own way; they run side by side, and queries become vectors and words for them."""
