"""Orders in the database, and how a submitted one reaches the log exactly once."""
