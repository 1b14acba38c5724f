"""Where the real catalogues are; they stay outside the repository."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared" / "data"


def shared_data(*parts: str) -> Path:
    """Path of a file of the real data; skips the test where the data is absent, fails it under CI=true."""
    path = SHARED.joinpath(*parts)
    if path.exists():
        return path
    message = f"the real data is not beside the repository: {'/'.join(parts)} is missing"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)
