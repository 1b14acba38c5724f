"""The benchmarks: what the system does in figures, each beside the parts that it is made of and the goal that it has."""
