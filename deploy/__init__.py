"""How ferroflux runs: the command, the embedded launcher, images, connectors and the sample catalogue."""
