"""Spelling: words that a catalogue does not know, corrected to words that it does."""
