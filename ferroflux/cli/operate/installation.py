"""Which installation an operator's command works on: a Kafka cluster with the indexer's settings, or a running `ferroflux up`."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import typer

from ferroflux.cli.options import DataDirOption, KeyOption, UrlOption
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


@dataclass(frozen=True, slots=True)
class Installation:
    """What the options of an operator's command name."""

    kafka: KafkaOption = ""
    url: UrlOption = ""
    data_dir: DataDirOption = None
    key: KeyOption = ""

    def url_of(self) -> str:
        """Base URL of the running `up`.

        Raises:
            ConfigurationError: the options name none.
        """
        return locate(self.url, self.data_dir)

    def run(self, work: Callable[[Operations], Coroutine[Any, Any, T]], *, generation: str = "") -> T:
        """Do one thing to it, and wait for it.

        Raises:
            ConfigurationError: the options name none.
        """
        if self.kafka:
            checkpoints = DataDirectory.resolve(self.data_dir).replays
            chosen: Operations = ProductionOperations(
                indexer_settings(self.kafka), generation=generation, checkpoints=checkpoints
            )
        else:
            chosen = HttpOperations(self.url_of(), api_key(self.key))
        return asyncio.run(work(chosen))
