"""The evaluation lab's bench: a catalogue file through the real pipeline into indexes, cached by content."""
