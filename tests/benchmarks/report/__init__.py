"""What a benchmark says: figures, goals, the machine they were measured on, and where the results are kept."""
