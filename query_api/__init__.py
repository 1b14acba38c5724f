"""The HTTP face of search, the text replica's tailer and the storefront page."""
