"""What puts an indexer together and runs it: one process for all generations, one build of a generation, one operator's command."""
