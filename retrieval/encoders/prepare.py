"""Prepare the configured model ahead of time: `python -m retrieval.encoders.prepare`, for images and set-up scripts.

What a process would do at its first start (decode, export, cache) is done now, so that a container can run read-only.
"""

import sys

import structlog
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from retrieval.encoders.factory import prepare_model
from retrieval.encoders.settings import EncoderSettings
from schemas.errors import FerrofluxError

log = structlog.get_logger(__name__)


class PrepareSettings(BaseSettings):
    """The encoder's section of the environment (`FERROFLUX_ENCODER__MODEL` and so on)."""

    model_config = SettingsConfigDict(env_prefix="FERROFLUX_", env_nested_delimiter="__", extra="ignore", frozen=True)

    encoder: EncoderSettings = Field(default_factory=EncoderSettings)


def main() -> int:
    """Prepare the model; returns 0, or 1 with the remedy logged."""
    settings = PrepareSettings().encoder
    try:
        prepare_model(settings)
    except FerrofluxError as error:
        log.error("model could not be prepared", model=settings.model, code=error.code, remedy=str(error))  # noqa: TRY400 - the sentence is the message, a traceback would hide it
        return 1
    log.info("model is prepared", model=settings.model, cache=str(settings.cache_dir))
    return 0


if __name__ == "__main__":
    sys.exit(main())
