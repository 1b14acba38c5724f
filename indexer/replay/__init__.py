"""Replay: a stretch of the change log is taken in again, through the same guard as live changes."""
