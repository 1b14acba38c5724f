"""Text encoders on onnxruntime: the port, the exporters, and where weights come from."""
