"""HTTP as every process of ours serves it: the application, its table of routes, problem details, and the server beside other work."""
