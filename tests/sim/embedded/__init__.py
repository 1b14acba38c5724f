"""`ferroflux up`: one process on one disk, killed, cut off from power, stopped, and robbed of a folder."""
