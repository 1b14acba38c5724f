"""Planners: who decides what a turn does. All behind one port, all with the same tools and the same gates: rules, or models in a cascade."""
