"""The HTTP face of search, the text replica behind it, and the search page.

Layers, from the bottom: `settings`; `replica` (the process that keeps the text index: `tailing`, `snapshots`, then each
generation, then all of them); `catalogue_view` and `worker` (what answers here); `http` (routes); `bootstrap` (composition).
"""
