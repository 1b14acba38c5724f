"""Commands of operators: what keeps a running installation sound and what mends it."""
