"""The `ferroflux` command."""
