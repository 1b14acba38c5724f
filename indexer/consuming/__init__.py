"""Records in turn: live and bulk lanes, the lock that a revocation takes away, and the runner of one batch with its offsets."""
