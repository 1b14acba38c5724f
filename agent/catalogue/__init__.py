"""The catalogue as the agent sees it: the port's adapters, in process and over HTTP, and when a search is to be believed."""
