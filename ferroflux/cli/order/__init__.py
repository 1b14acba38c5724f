"""Commands about conversations and orders."""
