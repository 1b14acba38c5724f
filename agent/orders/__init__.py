"""Orders: what they hold, how they are stored, and how a submitted one reaches the log exactly once."""
