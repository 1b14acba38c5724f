"""The container health check: `python -m ferroflux.healthcheck URL` exits with 0 when the URL answers 200, else 1.

The images carry no curl; Python is there anyway.
"""

import sys
import urllib.error
import urllib.request


def is_healthy(url: str, *, timeout_s: float = 4.0) -> bool:
    """Whether the URL answers 200 within the time."""
    try:
        with urllib.request.urlopen(url, timeout=timeout_s) as response:  # noqa: S310 - the operator's own address
            return bool(response.status == 200)
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False


def main(arguments: list[str]) -> int:
    """Check the one URL that is given."""
    if len(arguments) != 1 or not arguments[0].startswith(("http://", "https://")):
        print("usage: python -m ferroflux.healthcheck URL", file=sys.stderr)  # noqa: T201 - a command prints
        return 2
    return 0 if is_healthy(arguments[0]) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
