"""The systems under test as real processes, each on a copy of one catalogue that was loaded once and kept."""
