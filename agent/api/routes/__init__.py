"""The routes of the chat API, a module a resource."""
