"""The documents log as the tailer sees it: the port and its Kafka adapter."""
