"""Conversations as rows: whose they are, who is at work in one, what was said and how each turn went, when they end."""
