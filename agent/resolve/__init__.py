"""From words to a product: how well titles hold what was asked for, refinement, comparison, follow-ups. Pure but for search."""
