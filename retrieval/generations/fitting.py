"""From a manifest to what this process runs with, and the refusal of a generation that it cannot serve. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from retrieval.aliases.shipped import shipped_aliases
from retrieval.encoders.port import ModelRevision, TextEncoder
from retrieval.encoders.settings import EncoderSettings, LayerChoice
from retrieval.generations.view import AS_CONFIGURED, GenerationUnfitError
from retrieval.text.tantivy_index.compatibility import current_metadata
from retrieval.vectors.settings import HnswSettings, Quantisation, VectorSettings
from runtime.observability.redaction import without_credentials
from schemas.errors import ConfigurationError
from schemas.product.building import DocumentPolicy
from schemas.records.generations import EncoderChoice, Generation, Origin, StoreChoice
from schemas.version import canonical_digest


def choice_of(settings: EncoderSettings) -> EncoderChoice:
    """The part of the settings that decides where a text lands; open layers must have been settled.

    A manifest is read by everyone: of a model's URL it holds no credentials.

    Raises:
        ValueError: they were not.
    """
    if settings.layers is LayerChoice.AUTO:
        raise ValueError("a manifest records the layers that were chosen: settle_layers comes first")
    return _choice(settings)


def _choice(settings: EncoderSettings) -> EncoderChoice:
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


def encoder_settings(own: EncoderSettings, manifest: Generation) -> EncoderSettings:
    """The generation's encoder with this process's threads, cache and the like."""
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


def vector_settings(own: VectorSettings, manifest: Generation) -> VectorSettings:
    """The settings of the generation's collection."""
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


def text_folder(root: Path, manifest: Generation) -> Path:
    """Where a replica in `root` holds the generation: `main` there, any other in a folder of its own below."""
    return root / "generations" / manifest.identity if manifest.identity else root


def configured(
    *, documents: str = "", vectors: VectorSettings | None = None, encoder: EncoderSettings | None = None
) -> Generation:
    """`main` as this process's settings describe it; what the process has no setting for is empty.

    No revision and no version binds it: its collection records which encoder fits, and each version writes its text index anew.
    """
    found = {} if vectors is None else {"collection": vectors.collection, "store": store_choice(vectors)}
    choice = AS_CONFIGURED.encoder if encoder is None else _choice(encoder)
    return AS_CONFIGURED.model_copy(update={"documents": documents, "encoder": choice, **found})


def planned(
    name: str, main: Generation, store: StoreChoice, *, now_us: int, origin: Origin, starts: dict[str, int] | None
) -> Generation:
    """A generation beside `main`, in a collection and a topic of its own; `built_with` completes its manifest."""
    return Generation(
        name=name,
        collection=f"{main.collection}.{name}",
        documents=f"{main.documents}.{name}",
        encoder=main.encoder,
        store=store,
        origin=origin,
        starts=starts or {},
        created_us=now_us,
    )


def built_with(
    manifest: Generation, chosen: EncoderSettings, encoder: TextEncoder, policy: DocumentPolicy
) -> Generation:
    """The manifest with what this version builds the generation with; one that says so already stays as it is."""
    if manifest.revision:
        return manifest
    text = current_metadata()
    return manifest.model_copy(
        update={
            "encoder": choice_of(chosen),
            "revision": encoder.revision.id,
            "text_schema": text["schema"],
            "analyser": text["analyser"],
            "aliases": canonical_digest([record.model_dump(mode="json") for record in shipped_aliases()]),
            "policy": policy,
        }
    )


def require_text_fit(manifest: Generation) -> None:
    """Check that this version writes and reads text indexes as the generation has them.

    Raises:
        GenerationUnfitError: it does not.
    """
    current = current_metadata()
    for aspect, wanted in (("schema", manifest.text_schema), ("analyser", manifest.analyser)):
        if wanted not in ("", current[aspect]):
            raise GenerationUnfitError(
                f"generation {manifest.name} has text {aspect} {wanted}, this version has {current[aspect]}: run the version "
                "that built it, or build a generation with this version and promote that"
            )


def require_revision(manifest: Generation, revision: ModelRevision) -> None:
    """Check that the encoder that was loaded is the one that the generation was built with.

    Raises:
        GenerationUnfitError: it is not.
    """
    if manifest.revision not in ("", revision.id):
        raise GenerationUnfitError(
            f"generation {manifest.name} was built with revision {manifest.revision} of {without_credentials(manifest.encoder.model)}, this "
            f"process has {revision.id}: use the same model files and library, or build a generation with these"
        )
