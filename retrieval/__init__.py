"""The search library: text analysis, encoders, vector and text indexes, aliases, generations, and hybrid search over them.

The order of its layers, held by import-linter: `analysis ← encoders, passages, filters ← text, vectors, rerank, aliases, spelling,
understanding ← search, complements, generations`. Folders and modules beside each other form no circle.
"""
