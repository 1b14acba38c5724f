"""Evaluation: a catalogue file through the real pipeline into indexes, cached by content, and systems measured on it."""
