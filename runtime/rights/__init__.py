"""Who may do what: roles, keys, customers' tokens, the gate before the routes, and what holds without keys."""
