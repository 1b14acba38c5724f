"""Deterministic simulation: the real indexer and replica classes on a simulated clock, network, store and log, with faults."""
