"""The indexer's settings for one generation (its collection, documents topic, consumer group, encoder), and which one a command works on."""

from __future__ import annotations

from indexer.settings import IndexerSettings
from retrieval.generations.fitting import configured, encoder_settings, vector_settings
from retrieval.generations.kafka import KafkaGenerationStore
from retrieval.generations.view import GenerationRefusedError, view_of
from schemas.records.generations import Generation, GenerationStage


def configured_by(settings: IndexerSettings) -> Generation:
    """`main` as the settings describe it."""
    return configured(documents=settings.kafka.topics.documents, vectors=settings.vectors, encoder=settings.encoder)


def settings_for(settings: IndexerSettings, manifest: Generation) -> IndexerSettings:
    """The settings that an indexer of the generation runs with."""
    topics = settings.kafka.topics.model_copy(update={"documents": manifest.documents})
    group = ".".join(filter(None, (settings.consumer.group_id, manifest.identity)))
    return settings.model_copy(
        update={
            "kafka": settings.kafka.model_copy(update={"topics": topics}),
            "vectors": vector_settings(settings.vectors, manifest),
            "encoder": encoder_settings(settings.encoder, manifest),
            "consumer": settings.consumer.model_copy(update={"group_id": group}),
        }
    )


async def generation_of(settings: IndexerSettings, name: str = "") -> Generation:
    """The manifest of the generation; without a name, of the live one.

    Raises:
        GenerationRefusedError: there is none of that name, or it is not followed any more.
    """
    view = view_of(await KafkaGenerationStore(settings.kafka).records(), configured_by(settings))
    chosen = name or view.live
    if view.stage(chosen) is not GenerationStage.PREPARED:
        raise GenerationRefusedError(
            f"there is no prepared generation {chosen}; `ferroflux generation status` lists them"
        )
    return view.manifest(chosen)


async def settings_of(settings: IndexerSettings, name: str = "") -> IndexerSettings:
    """The settings that an indexer of that generation runs with. Raises as `generation_of` does."""
    return settings_for(settings, await generation_of(settings, name))
