"""Language models behind the planner port: asked with native tool calls, read strictly, never trusted with money."""
