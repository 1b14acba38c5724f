"""The wire models of the HTTP API: what a shop sends and what it gets back."""
