"""What is asked of the system: the catalogue, a mix of changes, distinct queries, and who sends them on time."""
