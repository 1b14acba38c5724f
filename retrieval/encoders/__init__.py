"""Encoders on onnxruntime: text encoders, sparse encoders, the cross-encoders of reranking; their export and where weights come from.

The order of its layers, held by import-linter: `port, settings ← models ← inference ← export ← factory ← prepare`; `sharing`
and `testing` stand on the port.
"""
