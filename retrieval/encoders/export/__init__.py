"""From a sentence-transformers folder to one ONNX graph: built by hand without torch where possible, exported once, cached."""
