"""From a manifest to what this process runs with, and the refusal of a generation that it cannot serve. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from retrieval.aliases.shipped import shipped_aliases
from retrieval.encoders.port import ModelRevision
from retrieval.encoders.settings import EncoderSettings, LayerChoice
from retrieval.generations.errors import GenerationUnfitError
from retrieval.text.tantivy_index.compatibility import current_metadata
from retrieval.vectors.settings import HnswSettings, Quantisation, VectorSettings
from runtime.redaction import without_credentials
from schemas.errors import ConfigurationError
from schemas.records.generations import MAIN, EncoderChoice, Generation, Origin, StoreChoice
from schemas.version import canonical_digest


def choice_of(settings: EncoderSettings) -> EncoderChoice:
    """The part of the settings that decides where a text lands; open layers must have been settled.

    A manifest is read by everyone: of a model's URL it holds no credentials.

    Raises:
        ValueError: they were not.
    """
    if settings.layers is LayerChoice.AUTO:
        raise ValueError("a manifest records the layers that were chosen: settle_layers comes first")
    return EncoderChoice(
        model=without_credentials(settings.model),
        layers=str(settings.layers),
        query_prompt=settings.query_prompt,
        passage_prompt=settings.passage_prompt,
        max_length=settings.max_length,
        truncate_dimension=settings.truncate_dimension,
        sparse_model=without_credentials(settings.sparse.model),
        sparse_max_length=settings.sparse.max_length,
    )


def encoder_settings(own: EncoderSettings, manifest: Generation | None) -> EncoderSettings:
    """The generation's encoder with this process's threads, cache and the like; of `main`, the settings as they are."""
    if manifest is None:
        return own
    choice = manifest.encoder
    sparse = own.sparse.model_copy(
        update={
            "model": _with_credentials(choice.sparse_model, own.sparse.model),
            "max_length": choice.sparse_max_length,
        }
    )
    return own.model_copy(
        update={
            "model": _with_credentials(choice.model, own.model),
            "layers": LayerChoice(choice.layers),
            "query_prompt": choice.query_prompt,
            "passage_prompt": choice.passage_prompt,
            "max_length": choice.max_length,
            "truncate_dimension": choice.truncate_dimension,
            "sparse": sparse,
        }
    )


def store_choice(settings: VectorSettings, assignments: Mapping[str, str] | None = None) -> StoreChoice:
    """The part of the settings that belongs to a collection, with these other values.

    Raises:
        ConfigurationError: a name is not one of them, or a value is not valid.
    """
    chosen = {"quantisation": settings.quantisation, **settings.hnsw.model_dump(include=set(StoreChoice.model_fields))}
    for name, value in (assignments or {}).items():
        if name not in chosen:
            raise ConfigurationError(
                f"--set vectors.{name}: the names are {', '.join(f'vectors.{one}' for one in chosen)}"
            )
        chosen[name] = value
    try:
        hnsw = HnswSettings.model_validate({name: value for name, value in chosen.items() if name != "quantisation"})
        return StoreChoice(quantisation=Quantisation(chosen["quantisation"]), **hnsw.model_dump(exclude={"ef_search"}))
    except ValueError as error:
        raise ConfigurationError(f"--set vectors: {error}") from error


def vector_settings(own: VectorSettings, manifest: Generation | None) -> VectorSettings:
    """The settings of the generation's collection; those of `main` are the settings themselves."""
    if manifest is None:
        return own
    chosen = manifest.store or store_choice(own)
    graph = chosen.model_dump(exclude={"quantisation"})
    return own.model_copy(
        update={
            "collection": manifest.collection,
            "quantisation": Quantisation(chosen.quantisation),
            "hnsw": own.hnsw.model_copy(update=graph),
        }
    )


def _with_credentials(recorded: str, own: str) -> str:
    """The model of a manifest as this process reaches it: by its own URL, where that names the same."""
    return own if without_credentials(own) == without_credentials(recorded) else recorded


def text_folder(root: Path, manifest: Generation | None) -> Path:
    """Where a replica in `root` holds the generation: `main` there, any other in a folder of its own below."""
    return root if manifest is None else root / "generations" / manifest.identity


def new_manifest(
    name: str,
    *,
    collection: str,
    documents: str,
    encoder: EncoderChoice,
    revision: ModelRevision,
    now_us: int,
    origin: Origin,
    starts: dict[str, int] | None = None,
    store: StoreChoice | None = None,
) -> Generation:
    """The manifest of a generation that this version builds; `collection` and `documents` are those of `main`."""
    text = current_metadata()
    return Generation(
        name=name,
        collection=f"{collection}.{name}",
        documents=f"{documents}.{name}",
        encoder=encoder,
        store=store,
        revision=revision.id,
        text_schema=text["schema"],
        analyser=text["analyser"],
        aliases=canonical_digest([record.model_dump(mode="json") for record in shipped_aliases()]),
        origin=origin,
        starts=starts or {},
        created_us=now_us,
    )


def require_text_fit(manifest: Generation | None) -> None:
    """Check that this version writes and reads text indexes as the generation has them.

    Raises:
        GenerationUnfitError: it does not.
    """
    if manifest is None:
        return
    current = current_metadata()
    for aspect, wanted in (("schema", manifest.text_schema), ("analyser", manifest.analyser)):
        if current[aspect] != wanted:
            raise GenerationUnfitError(
                f"generation {manifest.name} has text {aspect} {wanted}, this version has {current[aspect]}: run the version "
                "that built it, or build a generation with this version and promote that"
            )


def require_revision(manifest: Generation | None, revision: ModelRevision) -> None:
    """Check that the encoder that was loaded is the one that the generation was built with.

    Raises:
        GenerationUnfitError: it is not.
    """
    if manifest is not None and manifest.revision != revision.id:
        raise GenerationUnfitError(
            f"generation {manifest.name} was built with revision {manifest.revision} of {without_credentials(manifest.encoder.model)}, this "
            f"process has {revision.id}: use the same model files and library, or build a generation with these"
        )


def name_of(manifest: Generation | None) -> str:
    """The generation's name; without a manifest it is `main`."""
    return MAIN if manifest is None else manifest.name
