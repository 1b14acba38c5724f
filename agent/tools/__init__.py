"""The tools that a planner may call. Each takes the thread's state and gives what changes in it; none of them can set a price."""
