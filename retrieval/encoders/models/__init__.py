"""Where models come from: built-in packages, folders and URLs, read into plain values without any deep-learning library."""
