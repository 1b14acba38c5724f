"""Options of the lab's commands, said once, and what they name: the bench and the judged set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import typer
import yaml
from rich.console import Console

from deploy.cli.progress import FractionProgress
from deploy.lab.cache import default_cache_dir
from deploy.lab.catalogue import CatalogueSource
from deploy.lab.evaluation import ShowStep
from schemas.errors import ConfigurationError
from training.judgments.formats import load_judged, load_trec
from training.judgments.gains import GainKind
from training.judgments.judged import JudgedSet
from training.systems.settings import LabSettings, parse_overrides

CatalogueOption = Annotated[
    Path, typer.Option("--catalogue", help="Catalogue file, as `ferroflux ingest` takes it.", show_default=False)
]
JudgedOption = Annotated[
    Path | None,
    typer.Option(help="Judged queries as JSON lines: id, query, judgments, tenant, type.", show_default=False),
]
QueriesOption = Annotated[
    Path | None, typer.Option(help="TREC style: table of query id, text. With --qrels.", show_default=False)
]
QrelsOption = Annotated[
    Path | None, typer.Option(help="TREC style: table of query id, sku, grade.", show_default=False)
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", help="A setting, such as search.weights.dense=2. May be repeated.", show_default=False),
]
SettingsFileOption = Annotated[
    Path | None,
    typer.Option("--settings", help="YAML file of `key: value` lines, as `tune` writes it.", show_default=False),
]
FieldsOption = Annotated[
    str, typer.Option(help="Fields of the catalogue to take, such as title,brand. Default: all.", show_default=False)
]
GainOption = Annotated[GainKind, typer.Option(help="What a grade is worth in nDCG.")]
RelevantOption = Annotated[
    float | None,
    typer.Option("--relevant-from", help="Grade that counts as a hit. Default: 2 of 3.", show_default=False),
]
CacheOption = Annotated[
    Path | None,
    typer.Option(
        "--cache-dir",
        envvar="FERROFLUX_LAB_CACHE",
        help="Where vectors and indexes are kept. Default: the user's cache directory.",
        show_default=False,
    ),
]

_NO_OVERRIDES: Final[Mapping[str, Any]] = {}


@dataclass(frozen=True, slots=True)
class LabRequest:
    """What the shared options say."""

    catalogue: Path
    judged: Path | None
    queries: Path | None
    qrels: Path | None
    assignments: Sequence[str]
    settings_file: Path | None
    fields: str
    gain: GainKind
    relevant_from: float | None
    cache_dir: Path | None

    def judged_set(self) -> JudgedSet:
        """The judged queries.

        Raises:
            ConfigurationError: neither or both ways of giving them were used.
        """
        if self.judged is not None and self.queries is None and self.qrels is None:
            return load_judged(self.judged, self.gain, self.relevant_from)
        if self.judged is None and self.queries is not None and self.qrels is not None:
            return load_trec(self.queries, self.qrels, self.gain, self.relevant_from)
        raise ConfigurationError("give --judged FILE, or --queries FILE and --qrels FILE")

    def overrides(self) -> dict[str, Any]:
        """Settings of the file and of `--set`; the latter win."""
        return {**_settings_of(self.settings_file), **parse_overrides(self.assignments)}

    def settings(self) -> LabSettings:
        """The settings under test."""
        return LabSettings.patient().changed(self.overrides())

    def source(self) -> CatalogueSource:
        """The catalogue and what is taken of it."""
        fields = frozenset(name.strip() for name in self.fields.split(",") if name.strip())
        return CatalogueSource(self.catalogue, fields)

    def cache(self) -> Path:
        """Where vectors and indexes are kept."""
        return self.cache_dir or default_cache_dir()

    @staticmethod
    def steps(console: Console) -> ShowStep:
        """Progress of each step on the console."""
        return lambda what: FractionProgress(console, what)


def _settings_of(path: Path | None) -> Mapping[str, Any]:
    if path is None:
        return _NO_OVERRIDES
    try:
        loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigurationError(f"the settings file {path} cannot be read: {error}") from error
    if not isinstance(loaded, dict):
        raise ConfigurationError(f"the settings file {path} must hold lines of `search.rrf_k: 30`")
    return {str(name): value for name, value in loaded.items()}
