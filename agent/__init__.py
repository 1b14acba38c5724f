"""The ordering agent: LangGraph over the same search, orders that are submitted once, a chat API and its page."""
