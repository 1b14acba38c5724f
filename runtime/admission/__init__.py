"""Who is let in: bounds by deadline, whose share a request is of, and the ASGI layer that refuses the others."""
