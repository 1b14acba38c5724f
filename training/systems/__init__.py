"""The search systems that an experiment compares: the hybrid search as it ships, and plain baselines beside it."""
