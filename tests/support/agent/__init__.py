"""The agent's parts for tests: orders, processes that submit them, chat models that need no network."""
