"""Looking before writing: which versions facets hold, and whether a change can win over them without freezing them."""
