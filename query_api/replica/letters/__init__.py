"""Dead letters of the query side: what a replica set apart, told once in the dead-letter topic."""
