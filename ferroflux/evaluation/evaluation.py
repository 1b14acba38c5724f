"""One evaluation from end to end: lay the catalogue out, ask the system and what it is compared with, collect the figures."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ferroflux.evaluation.bench import lay_out
from ferroflux.evaluation.catalogue import CatalogueSource
from retrieval.encoders.settings import EncoderSettings
from retrieval.rerank.factory import load_reranker
from training.experiments.ablation import ablate
from training.experiments.compare import Comparison, compare
from training.experiments.experiment import Experiment
from training.experiments.latency import Latency, measure_latency
from training.experiments.run import Run, run_system
from training.experiments.saved import load_run
from training.judgments.judged import JudgedSet
from training.measures.metrics import Judge
from training.systems.baselines import BaselineKind, baseline
from training.systems.bench import Bench
from training.systems.hybrid import HybridSystem
from training.systems.port import SearchSystem
from training.systems.settings import LabSettings, parse_overrides


class Progress(Protocol):
    """Shows how far a step is."""

    def update(self, fraction: float, text: str) -> None:
        """From 0 to 1, with a few words."""
        ...


ShowStep = Callable[[str], AbstractContextManager[Progress]]
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
    """Carries out a plan. One bench is laid out for each encoder that the plan's configurations name."""

    def __init__(self, plan: EvaluationPlan, show_step: ShowStep) -> None:
        self._plan = plan
        self._show_step = show_step
        self._judge = Judge(plan.judged)
        self._benches: dict[EncoderSettings, Bench] = {}
        self._remembering: dict[EncoderSettings, Bench] = {}

    def carry_out(self) -> Experiment:
        """Everything that the plan asks for.

        Raises:
            FerrofluxError: a file, a setting or the cache is not as it must be; the message says which.
        """
        plan = self._plan
        settings = LabSettings.patient().changed(plan.overrides)
        others = {text: settings.changed(_assignments(text)) for text in plan.compare_with if not Path(text).is_file()}
        bench = self._bench(settings)
        for other in others.values():
            self._bench(other)
        try:
            return asyncio.run(self._experiment(bench, settings, others))
        finally:
            for each in self._benches.values():
                each.encoder.flush()

    async def _experiment(self, bench: Bench, settings: LabSettings, others: Mapping[str, LabSettings]) -> Experiment:
        run = await self._run(self._hybrid(settings, "hybrid"), bench)
        compared = [compare(await self._run(baseline(kind, bench), bench), run) for kind in self._plan.baselines] + [
            await self._compared(text, others, run) for text in self._plan.compare_with
        ]
        return Experiment(
            bench=bench,
            run=run,
            overrides=self._plan.overrides,
            compared=compared,
            ablated=await self._ablated(run, settings, bench) if self._plan.ablate else (),
            latency=await self._latency(bench, settings) if self._plan.latency else None,
        )

    async def _compared(self, text: str, others: Mapping[str, LabSettings], run: Run) -> Comparison:
        other = others.get(text)
        if other is None:
            return compare(load_run(Path(text), self._judge), run)
        return compare(await self._run(self._hybrid(other, f"hybrid {text}"), self._bench(other)), run)

    async def _ablated(self, run: Run, settings: LabSettings, bench: Bench) -> tuple[Comparison, ...]:
        with self._show_step("switching stages off") as progress:
            return tuple(await ablate(run, settings, bench, self._judge, self._hybrid, progress.update))

    async def _latency(self, bench: Bench, settings: LabSettings) -> Latency:
        # Encoder and reranker that remember nothing: times are those of serving.
        reranker = load_reranker(settings.search.rerank)
        system = HybridSystem.over(bench, settings, encoder=bench.encoder.uncached, reranker=reranker)
        try:
            return await measure_latency(system, bench, self._plan.judged.queries)
        finally:
            system.close()

    async def _run(self, system: SearchSystem, bench: Bench) -> Run:
        try:
            with self._show_step(f"asking {system.name}") as progress:
                return await run_system(system, bench, self._judge, progress.update)
        finally:
            system.close()

    def _hybrid(self, settings: LabSettings, name: str) -> SearchSystem:
        bench = self._remembering.get(settings.encoder)
        if bench is None:
            bench = self._remembering[settings.encoder] = self._bench(settings).remembering()
        return HybridSystem.over(bench, settings, name=name)

    def _bench(self, settings: LabSettings) -> Bench:
        bench = self._benches.get(settings.encoder)
        if bench is None:
            with self._show_step("laying out the catalogue") as progress:
                bench = lay_out(self._plan.source, settings.encoder, self._plan.cache_dir, progress.update)
            self._benches[settings.encoder] = bench
        return bench


def _assignments(text: str) -> dict[str, Any]:
    return parse_overrides(text.split())
