"""Findings about the models: which text encoders are installed, whether the configured one is ready, and the reranker."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from ferroflux.cli.doctor.finding import Finding, Health
from indexer.settings import IndexerSettings
from query_api.settings import ApiSettings
from retrieval.encoders.models.sources import available_models
from retrieval.encoders.sparse.folder import read_sparse_encoder
from retrieval.rerank.folder import read_cross_encoder
from schemas.errors import FerrofluxError


def models() -> list[Finding]:
    """The configured model, and the built-in ones."""
    configured = IndexerSettings().encoder.model
    findings = []
    for model in available_models():
        chosen = model.model == configured
        subject = f"model {model.model}"
        if model.available:
            detail = f"{model.package} {model.version}{', in use' if chosen else ''}: {model.description}"
            findings.append(Finding(subject, Health.GOOD, detail))
        else:
            health = Health.BAD if chosen else Health.OPTIONAL
            findings.append(Finding(subject, health, f"{model.package} is not installed", model.remedy))
    if configured not in {model.model for model in available_models()}:
        findings.append(
            Finding("model", Health.GOOD, f"{configured}: named by FERROFLUX_ENCODER__MODEL, read at the start")
        )
    return [*findings, _sparse(), _reranker()]


def _sparse() -> Finding:
    model = IndexerSettings().encoder.sparse.model
    subject = "sparse encoder"
    if not model:
        return Finding(subject, Health.OPTIONAL, "none named (FERROFLUX_ENCODER__SPARSE__MODEL): no sparse vectors")
    return _named_folder(subject, model, lambda: read_sparse_encoder(Path(model).expanduser()))


def _reranker() -> Finding:
    settings = ApiSettings().search.rerank
    subject = "reranker"
    if not settings.model:
        return Finding(
            subject, Health.OPTIONAL, "none named (FERROFLUX_SEARCH__RERANK__MODEL): hits keep the fusion's order"
        )
    return _named_folder(subject, settings.model, lambda: read_cross_encoder(Path(settings.model).expanduser()))


def _named_folder(subject: str, model: str, read: Callable[[], object]) -> Finding:
    """A model that is a folder is looked at now; a URL is only read when a process starts."""
    if "://" in model:
        # A URL may carry a password: its last part names the model well enough.
        return Finding(subject, Health.GOOD, f"{PurePosixPath(urlsplit(model).path).name}: fetched at the start")
    try:
        read()
    except FerrofluxError as error:
        return Finding(subject, Health.BAD, f"{model} cannot be used", str(error))
    return Finding(subject, Health.GOOD, f"{model}: read at the start")
