"""Vector indexes: the port, and its adapters on a Qdrant server and on Qdrant Edge in process."""
