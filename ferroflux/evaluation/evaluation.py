"""One evaluation from end to end: lay the catalogue out, ask the system and what it is compared with, collect the figures."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ferroflux.evaluation.catalogue import CatalogueSource
from ferroflux.evaluation.indexing import indexed_catalogue
from retrieval.encoders.settings import EncoderSettings
from retrieval.rerank.onnx import load_reranker
from training.experiments.comparison import Comparison, ablate, compare
from training.experiments.experiment import Experiment
from training.experiments.run import Latency, Run, load_run, measure_latency, run_system
from training.judgments import JudgedSet
from training.metrics import Judge
from training.systems.baselines import BaselineKind, baseline
from training.systems.hybrid import HybridSystem
from training.systems.indexed_catalogue import IndexedCatalogue
from training.systems.port import SearchSystem
from training.systems.settings import EvaluationSettings, parse_overrides


class StepProgress(Protocol):
    """Shows how far a step is."""

    def update(self, fraction: float, text: str) -> None:
        """From 0 to 1, with a few words."""
        ...


ShowStep = Callable[[str], AbstractContextManager[StepProgress]]
"""Begins a step of this name."""


@dataclass(frozen=True, slots=True)
class EvaluationPlan:
    """What to evaluate.

    `compare_with` are configurations (`key=value` texts separated by blanks, on top of the plan's own overrides) or
    files of saved runs.
    """

    source: CatalogueSource
    judged: JudgedSet
    overrides: Mapping[str, Any]
    cache_dir: Path
    baselines: tuple[BaselineKind, ...] = ()
    compare_with: tuple[str, ...] = ()
    ablate: bool = False
    latency: bool = False


class Evaluation:
    """Carries out a plan. The catalogue is indexed once for each encoder that the plan's configurations name."""

    def __init__(self, plan: EvaluationPlan, show_step: ShowStep) -> None:
        self._plan = plan
        self._show_step = show_step
        self._judge = Judge(plan.judged)
        self._catalogues: dict[EncoderSettings, IndexedCatalogue] = {}
        self._remembering: dict[EncoderSettings, IndexedCatalogue] = {}

    def carry_out(self) -> Experiment:
        """Everything that the plan asks for.

        Raises:
            FerrofluxError: a file, a setting or the cache is not as it must be; the message says which.
        """
        plan = self._plan
        settings = EvaluationSettings.patient().changed(plan.overrides)
        others = {text: settings.changed(_assignments(text)) for text in plan.compare_with if not Path(text).is_file()}
        catalogue = self._catalogue(settings)
        for other in others.values():
            self._catalogue(other)
        try:
            return asyncio.run(self._experiment(catalogue, settings, others))
        finally:
            for each in self._catalogues.values():
                each.encoder.flush()

    async def _experiment(
        self, catalogue: IndexedCatalogue, settings: EvaluationSettings, others: Mapping[str, EvaluationSettings]
    ) -> Experiment:
        run = await self._run(self._hybrid(settings, "hybrid"), catalogue)
        compared = [
            compare(await self._run(baseline(kind, catalogue), catalogue), run) for kind in self._plan.baselines
        ] + [await self._compared(text, others, run) for text in self._plan.compare_with]
        return Experiment(
            catalogue=catalogue,
            run=run,
            overrides=self._plan.overrides,
            compared=compared,
            ablated=await self._ablated(run, settings, catalogue) if self._plan.ablate else (),
            latency=await self._latency(catalogue, settings) if self._plan.latency else None,
        )

    async def _compared(self, text: str, others: Mapping[str, EvaluationSettings], run: Run) -> Comparison:
        other = others.get(text)
        if other is None:
            return compare(load_run(Path(text), self._judge), run)
        return compare(await self._run(self._hybrid(other, f"hybrid {text}"), self._catalogue(other)), run)

    async def _ablated(
        self, run: Run, settings: EvaluationSettings, catalogue: IndexedCatalogue
    ) -> tuple[Comparison, ...]:
        with self._show_step("switching stages off") as progress:
            return tuple(await ablate(run, settings, catalogue, self._judge, self._hybrid, progress.update))

    async def _latency(self, catalogue: IndexedCatalogue, settings: EvaluationSettings) -> Latency:
        # Encoder and reranker that remember nothing: times are those of serving.
        reranker = load_reranker(settings.search.rerank)
        system = HybridSystem.over(catalogue, settings, encoder=catalogue.encoder.uncached, reranker=reranker)
        try:
            return await measure_latency(system, catalogue, self._plan.judged.queries)
        finally:
            system.close()

    async def _run(self, system: SearchSystem, catalogue: IndexedCatalogue) -> Run:
        try:
            with self._show_step(f"asking {system.name}") as progress:
                return await run_system(system, catalogue, self._judge, progress.update)
        finally:
            system.close()

    def _hybrid(self, settings: EvaluationSettings, name: str) -> SearchSystem:
        catalogue = self._remembering.get(settings.encoder)
        if catalogue is None:
            catalogue = self._remembering[settings.encoder] = self._catalogue(settings).remembering()
        return HybridSystem.over(catalogue, settings, name=name)

    def _catalogue(self, settings: EvaluationSettings) -> IndexedCatalogue:
        catalogue = self._catalogues.get(settings.encoder)
        if catalogue is None:
            with self._show_step("indexing the catalogue") as progress:
                catalogue = indexed_catalogue(
                    self._plan.source, settings.encoder, self._plan.cache_dir, progress.update
                )
            self._catalogues[settings.encoder] = catalogue
        return catalogue


def _assignments(text: str) -> dict[str, Any]:
    return parse_overrides(text.split())
