"""Aliases on a machine: one tailer of the topic writes a file, every search worker follows the file."""
