"""The built-in planner: rules that a person can read, no model, a few milliseconds."""
