"""The chat as one process runs it, whatever face it has: turns with their replay and record, and the process' life."""
