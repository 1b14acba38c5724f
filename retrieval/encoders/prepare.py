"""Prepare the configured models ahead of time: `python -m retrieval.encoders.prepare`, for images and set-up scripts.

What a process would do at its first start (decode, export, cache) is done now, so that a container can run read-only.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import structlog
from pydantic import BaseModel, ConfigDict, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from retrieval.encoders.export.exporter import prepare_cross_encoder, prepare_sparse
from retrieval.encoders.factory import prepare_servable
from retrieval.encoders.settings import EncoderSettings, default_cache_dir
from runtime.observability.redaction import without_credentials
from schemas.errors import FerrofluxError

log = structlog.get_logger(__name__)


class RerankPart(BaseModel):
    """The part of the reranker's settings that names a model."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    model: str = ""
    cache_dir: Path = Field(default_factory=default_cache_dir)


class SearchPart(BaseModel):
    """The part of the search settings that names a model."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    rerank: RerankPart = Field(default_factory=RerankPart)


class PrepareSettings(BaseSettings):
    """The models that the environment names (`FERROFLUX_ENCODER__MODEL`, `FERROFLUX_SEARCH__RERANK__MODEL`)."""

    model_config = SettingsConfigDict(
        hide_input_in_errors=True, env_prefix="FERROFLUX_", env_nested_delimiter="__", extra="ignore", frozen=True
    )

    encoder: EncoderSettings = Field(default_factory=EncoderSettings)
    search: SearchPart = Field(default_factory=SearchPart)


def main() -> int:
    """Prepare the models; returns 0, or 1 with the remedy logged."""
    settings = PrepareSettings()
    rerank = settings.search.rerank
    ok = _prepared(settings.encoder.model, settings.encoder.cache_dir, lambda: prepare_servable(settings.encoder))
    sparse = settings.encoder.sparse
    if sparse.model:
        ok = _prepared(sparse.model, settings.encoder.cache_dir, lambda: prepare_sparse(settings.encoder)) and ok
    if rerank.model:
        ok = (
            _prepared(rerank.model, rerank.cache_dir, lambda: prepare_cross_encoder(rerank.model, rerank.cache_dir))
            and ok
        )
    return 0 if ok else 1


def _prepared(model: str, cache_dir: Path, prepare: Callable[[], object]) -> bool:
    try:
        prepare()
    except FerrofluxError as error:
        log.error("model could not be prepared", model=without_credentials(model), code=error.code, remedy=str(error))  # noqa: TRY400 - the sentence is the message, a traceback would hide it
        return False
    log.info("model is prepared", model=without_credentials(model), cache=str(cache_dir))
    return True


if __name__ == "__main__":
    sys.exit(main())
