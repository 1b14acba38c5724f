"""Inference: token ids, batches of like length, and the onnxruntime session that turns them into vectors."""
