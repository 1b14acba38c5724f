"""The text replica: the process that follows `catalog.documents` into the text index of every generation on a machine.

Layers, from the bottom: `settings` and `worker_reports`; `tailing` (log into index); `snapshots`; `generation` (one replica);
`generations` (all of them); `bootstrap`.
"""
