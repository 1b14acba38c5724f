"""What every process of ours shares, and nothing of search."""
