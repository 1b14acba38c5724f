"""Snapshots of the text replica in a store that outlives the machine, so that a new worker starts near the log's end."""
