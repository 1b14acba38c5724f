"""What a process tells of itself: log lines, metrics, and both without secrets."""
