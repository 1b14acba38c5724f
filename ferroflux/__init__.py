"""The product: the command, everything in one process, and what operators do."""
