"""The demo warehouse for tests: its database, what SQL says that searches must show, and a shop's view of the API."""
