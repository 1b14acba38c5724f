"""The nodes of the turn's graph: each a small function or callable over the thread's state."""
