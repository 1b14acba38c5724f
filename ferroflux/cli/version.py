"""`ferroflux version`: what runs here, for a bug report."""

import json
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Final

import typer

app = typer.Typer()

_ENGINES: Final = (
    "aiokafka",
    "faststream",
    "fastapi",
    "onnxruntime",
    "polars",
    "qdrant-client",
    "qdrant-edge-py",
    "tantivy",
)


@app.command()
def show(*, as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False) -> None:
    """Print the version of ferroflux, of Python and of the engines."""
    versions = {
        "ferroflux": _version("ferroflux"),
        "python": platform.python_version(),
        "platform": platform.platform(),
    }
    versions |= {engine: _version(engine) for engine in _ENGINES}
    if as_json:
        print(json.dumps(versions))
        return
    for name, number in versions.items():
        print(f"{name:<16}{number}")


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "not installed"
