"""Which planner an evaluation asks: the built-in rules, or the language models that the settings name."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import StrEnum
from pathlib import Path

from agent.bootstrap import build_planner
from agent.planners.deterministic import DeterministicPlanner
from agent.ports import Planner
from agent.settings import DatabaseSettings, PlannerSettings
from agent.storage.database import Database
from schemas.errors import ConfigurationError


class PlannerChoice(StrEnum):
    """The planners that can be measured."""

    DETERMINISTIC = "deterministic"
    CONFIGURED = "configured"


@asynccontextmanager
async def open_planner(choice: PlannerChoice, settings: PlannerSettings) -> AsyncIterator[Planner]:
    """The planner, for as long as the block lasts.

    A configured one counts its tokens in a database of its own: an evaluation is capped by the settings as a tenant's day
    is, and takes nothing of the day of a real one.

    Raises:
        ConfigurationError: the configured planner is asked for and no model is configured, or one that cannot be used.
    """
    if choice is PlannerChoice.DETERMINISTIC:
        yield DeterministicPlanner()
        return
    if not settings.cheap.configured:
        raise ConfigurationError(
            "no language model is configured: set FERROFLUX_AGENT__PLANNER__CHEAP__NAME, and its provider or base_url"
        )
    with tempfile.TemporaryDirectory(prefix="ferroflux-eval-") as folder:
        database = await Database.open(DatabaseSettings(directory=Path(folder)))
        try:
            # Importing a provider's package blocks for a second.
            yield await asyncio.to_thread(build_planner, settings, database)
        finally:
            await database.close()
