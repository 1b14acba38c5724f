"""Judging the agent on recorded conversations: each in a fresh session, every expectation checked after its turn."""
