"""How ferroflux ships: image, parts of the compose file, connectors. No product code, and nothing of the product imports it."""
