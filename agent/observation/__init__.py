"""How a turn can be looked into afterwards: metrics, spans, one log line, one stored trace. None holds what was said."""
