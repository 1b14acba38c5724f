"""The cluster that an operator's command works on: the indexer's settings, with the address from the command line."""

from typing import Annotated

import typer

from indexer.settings import IndexerSettings

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
