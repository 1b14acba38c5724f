"""What operators do, each once: directly on an installation's stores and logs, or over HTTP on a running `ferroflux up`."""
