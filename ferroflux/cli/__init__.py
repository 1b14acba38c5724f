"""The `ferroflux` command: processes and `up`; a folder for each kind of use, as the overview groups them."""
