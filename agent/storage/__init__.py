"""The agent's database: what is neither search nor graph state. Orders, the outbox, threads, turns, what models cost."""
