"""A run on disk, so that a later one can be compared with it: the ranked lists are kept, the scores are computed anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from schemas.errors import ConfigurationError
from training.experiments.run import Run
from training.measures.metrics import Judge
from training.systems.port import RankedAnswer


def save_run(run: Run, path: Path) -> None:
    """Write a run's answers as one JSON object."""
    answers = {
        identity: {
            "skus": answer.skus,
            "found_by": answer.found_by,
            "low_confidence": answer.low_confidence,
            "milliseconds": answer.milliseconds,
        }
        for identity, answer in run.answers.items()
    }
    path.write_bytes(orjson.dumps({"system": run.system, "answers": answers}, option=orjson.OPT_NON_STR_KEYS))


def load_run(path: Path, judge: Judge) -> Run:
    """Read a saved run and score it by today's judgments.

    Raises:
        ConfigurationError: the file is no saved run, or lacks an answer to a judged query.
    """
    try:
        raw = orjson.loads(path.read_bytes())
        answers = {identity: _answer(answer) for identity, answer in raw["answers"].items()}
        system = str(raw["system"])
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise ConfigurationError(f"{path} is not a run that `ferroflux eval --report` saved: {error!r}") from error
    missing = [query.id for query in judge.judged.queries if query.id not in answers]
    if missing:
        raise ConfigurationError(f"{path} has no answer to {len(missing)} of the judged queries; it is of another set")
    wanted = {query.id: answers[query.id] for query in judge.judged.queries}
    return Run(system, judge.judged, wanted, judge.score(wanted))


def _answer(raw: dict[str, Any]) -> RankedAnswer:
    return RankedAnswer(
        skus=tuple(raw["skus"]),
        found_by=raw["found_by"],
        low_confidence=raw["low_confidence"],
        milliseconds=raw["milliseconds"],
    )
