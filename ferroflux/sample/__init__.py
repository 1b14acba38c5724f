"""A sample catalogue of our own: plausible hardware products from a seeded generator, in Spanish and in English."""
