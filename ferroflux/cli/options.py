"""Options that several commands share, said once."""

from pathlib import Path
from typing import Annotated

import typer

DataDirOption = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        envvar="FERROFLUX_DATA_DIR",
        help="The folder of a running `ferroflux up`. Default: `.ferroflux` here.",
        show_default=False,
    ),
]
UrlOption = Annotated[
    str,
    typer.Option("--url", envvar="FERROFLUX_URL", help="Address of a running ferroflux instead.", show_default=False),
]
KeyOption = Annotated[
    str,
    typer.Option(
        "--api-key", envvar="FERROFLUX_API_KEY", help="Key, where the server asks for one.", show_default=False
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="JSON for programs instead of a table.")]
