"""The benchmarks themselves, one a module; each has `run(context)`."""
