"""Who may do what: roles of keys, the settings that grant them, the gate before the routes, customers' tokens, and what guards a process without keys."""
