"""The text index: the port and its adapter on Tantivy."""
