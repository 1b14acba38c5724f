"""`ferroflux reconcile`: which truth, which stores, and how a repair is published, in production and embedded."""
