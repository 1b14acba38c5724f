"""How people order in words: clauses, quantities, references, actions, confirmations. Pure rules over folded text."""
