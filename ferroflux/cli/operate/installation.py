"""Which installation an operator's command works on: a Kafka cluster with the indexer's settings, or a running `ferroflux up`."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from ferroflux.data_directory import DataDirectory
from ferroflux.http_client import api_key, locate
from ferroflux.operations.over_http import HttpOperations
from ferroflux.operations.port import Operations
from ferroflux.operations.production import ProductionOperations
from indexer.settings import IndexerSettings

T = TypeVar("T")

KafkaOption = Annotated[
    str,
    typer.Option(
        "--kafka",
        help="Work on the Kafka cluster at HOST:PORT, with the indexer's FERROFLUX_… settings, instead of on a running `up`.",
        show_default=False,
    ),
]
GenerationOption = Annotated[
    str,
    typer.Option(
        "--generation", help="With --kafka: work on this generation; default: the live one.", show_default=False
    ),
]


def indexer_settings(kafka: str) -> IndexerSettings:
    """The environment's settings, their Kafka address replaced."""
    settings = IndexerSettings()
    return settings.model_copy(update={"kafka": settings.kafka.model_copy(update={"bootstrap": kafka})})


def operate(
    work: Callable[[Operations], Coroutine[Any, Any, T]],
    *,
    kafka: str,
    url: str,
    data_dir: Path | None,
    key: str,
    generation: str = "",
) -> T:
    """Do one thing to the installation that the options name, and wait for it.

    Raises:
        ConfigurationError: they name none.
    """
    if kafka:
        checkpoints = DataDirectory.resolve(data_dir).replays
        chosen: Operations = ProductionOperations(
            indexer_settings(kafka), generation=generation, checkpoints=checkpoints
        )
    else:
        chosen = HttpOperations(locate(url, data_dir), api_key(key))
    return asyncio.run(work(chosen))
