"""Which generation an operator's command works on: the live one, or the one that is named."""

from __future__ import annotations

from indexer.generations.settings import settings_for
from indexer.settings import IndexerSettings
from retrieval.generations.errors import GenerationRefusedError
from retrieval.generations.kafka import KafkaGenerationStore
from retrieval.generations.view import view_of
from schemas.generations import Generation, Stage


async def generation_of(settings: IndexerSettings, name: str = "") -> Generation | None:
    """The manifest of the generation, None for `main`; without a name, of the live one.

    Raises:
        GenerationRefusedError: there is none of that name, or it is not followed any more.
    """
    view = view_of(await KafkaGenerationStore(settings.kafka).records())
    chosen = name or view.live
    if view.stage(chosen) is not Stage.PREPARED:
        raise GenerationRefusedError(
            f"there is no prepared generation {chosen}; `ferroflux generation status` lists them"
        )
    return view.manifests.get(chosen)


async def settings_of(settings: IndexerSettings, name: str = "") -> IndexerSettings:
    """The settings that an indexer of that generation runs with. Raises as `generation_of` does."""
    return settings_for(settings, await generation_of(settings, name))
