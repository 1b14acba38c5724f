"""The control log: which sources feed which facets, kept durably, followed by whoever takes changes in (decision 0075)."""
