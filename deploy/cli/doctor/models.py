"""Findings about the text encoders: which are installed, and whether the configured one is ready."""

from __future__ import annotations

from deploy.cli.doctor.finding import Finding, Health
from indexer.settings import IndexerSettings
from retrieval.encoders.models.sources import available_models


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
    return findings
