"""The indexer's settings for one generation: its collection, its documents topic, its consumer group, its encoder. Pure."""

from __future__ import annotations

from indexer.settings import IndexerSettings
from retrieval.generations.fitting import encoder_settings
from schemas.generations import Generation


def settings_for(settings: IndexerSettings, manifest: Generation | None) -> IndexerSettings:
    """The settings that an indexer of the generation runs with; those of `main` are the settings themselves."""
    if manifest is None:
        return settings
    topics = settings.kafka.topics.model_copy(update={"documents": manifest.documents})
    group = f"{settings.consumer.group_id}.{manifest.identity}"
    return settings.model_copy(
        update={
            "kafka": settings.kafka.model_copy(update={"topics": topics}),
            "vectors": settings.vectors.model_copy(update={"collection": manifest.collection}),
            "encoder": encoder_settings(settings.encoder, manifest),
            "consumer": settings.consumer.model_copy(update={"group_id": group}),
        }
    )
