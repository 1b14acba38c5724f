"""The options that evaluation commands share, and what they name: catalogue, judged set, settings under test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import typer
import yaml
from rich.console import Console

from ferroflux.cli.output import FractionProgress
from ferroflux.evaluation.cache import default_cache_dir
from ferroflux.evaluation.catalogue import CatalogueSource
from ferroflux.evaluation.evaluation import ShowStep
from ferroflux.evaluation.indexing import indexed_catalogue
from schemas.errors import ConfigurationError
from training.judgments import GainKind, JudgedSet, load_judged, load_trec
from training.systems.indexed_catalogue import IndexedCatalogue
from training.systems.settings import EvaluationSettings, parse_overrides
from training.tuning.space import write_settings

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

FoldsOption = Annotated[int, typer.Option(min=2, help="Parts that the queries are dealt out to.")]
OutOption = Annotated[
    Path | None,
    typer.Option(
        help="File for the chosen settings; of variables for the processes where it ends in .env.", show_default=False
    ),
]

_NO_OVERRIDES: Final[Mapping[str, Any]] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationRequest:
    """What the options say that every command on judged queries has. Its fields are those options: see `on_judged_queries`."""

    catalogue: CatalogueOption
    judged: JudgedOption = None
    queries: QueriesOption = None
    qrels: QrelsOption = None
    assignments: SetOption = None
    settings_file: SettingsFileOption = None
    fields: FieldsOption = ""
    gain: GainOption = GainKind.AUTO
    relevant_from: RelevantOption = None
    cache_dir: CacheOption = None

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
        return {**_settings_of(self.settings_file), **parse_overrides(self.assignments or ())}

    def settings(self) -> EvaluationSettings:
        """The settings under test."""
        return EvaluationSettings.patient().changed(self.overrides())

    def source(self) -> CatalogueSource:
        """The catalogue and what is taken of it."""
        fields = frozenset(name.strip() for name in self.fields.split(",") if name.strip())
        return CatalogueSource(self.catalogue, fields)

    def cache(self) -> Path:
        """Where vectors and indexes are kept."""
        return self.cache_dir or default_cache_dir()

    def indexed(self, settings: EvaluationSettings, show_step: ShowStep) -> IndexedCatalogue:
        """The catalogue laid out for these settings, from the cache where it holds it."""
        with show_step("indexing the catalogue") as progress:
            return indexed_catalogue(self.source(), settings.encoder, self.cache(), progress.update)

    @staticmethod
    def steps(console: Console) -> ShowStep:
        """Progress of each step on the console."""
        return lambda what: FractionProgress(console, what)


def dealt_out(queries: int, folds: int) -> None:
    """Refuse more folds than there are queries.

    Raises:
        ConfigurationError: with both numbers.
    """
    if queries < folds:
        raise ConfigurationError(
            f"{queries} answerable queries cannot be dealt out to {folds} folds: give more queries, or a lower --folds"
        )


def hand_over(snippet: str, out: Path | None) -> None:
    """Write the chosen settings to a file, or print them."""
    if out is None:
        print(snippet)
    else:
        write_settings(out, snippet)


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
