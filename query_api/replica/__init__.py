"""The text replica's tailer: follows `catalog.documents` and keeps the local text index up to date, in one process per worker."""
