"""Commands that use a running system: ingest, produce, search, status, conversations and orders."""
