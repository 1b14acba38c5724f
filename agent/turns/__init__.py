"""One turn: the graph and its nodes, and the runtime that keeps turns in order, resumes those that were cut off and closes those that fail."""
