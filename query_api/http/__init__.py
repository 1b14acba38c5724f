"""The HTTP layer of the query worker: routes, problem details, access, limits and metrics."""
