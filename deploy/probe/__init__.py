"""The live probe: how long a change takes now, measured with a product of nobody's."""
