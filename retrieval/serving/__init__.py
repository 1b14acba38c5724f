"""Opened generations: what a process searches, leased by name, kept fresh, and let go with the last lease."""
