"""The domain: a conversation's state, products and cards, its order, its turns, names and bounds, and the agent's sentences. Pure."""
