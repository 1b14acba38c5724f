"""The agent's HTTP face: chat, orders, health, and the chat page."""
