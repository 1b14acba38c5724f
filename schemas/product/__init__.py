"""One product: the changes of its facets, their rows and sources, the merge, and the document that is built from the merged state."""
