"""Change events to indexes: plan, pipeline, dead letters, the Kafka consumer and its process.

Its layers, from the bottom (import-linter holds them, `pyproject.toml` names the modules of each):

- domain: records, plans, letters, selections and comparisons, which are pure, and the ports;
- application: what works on the ports alone, as batches, replays, repairs and the verifier do;
- adapters: the ports on Kafka, SQLite, files and a warehouse;
- entrypoints: what puts a process or a command together.
"""
