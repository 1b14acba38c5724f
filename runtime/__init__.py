"""What every process of ours shares, and nothing of search.

The order of its layers, held by import-linter: `bounded_cache ← metrics, redaction, retry, event_loop, shared_answer ← supervision,
kafka, logs, isolation ← http ← rights ← admission ← application`.
"""
