"""The search library: text analysis, encoders, vector and text indexes, fusion, hybrid search."""
