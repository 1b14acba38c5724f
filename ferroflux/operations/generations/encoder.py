"""The encoder and the collection of a new generation, from the settings and what the command line or a caller of the API changes of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from ferroflux.operations.port import BuildBody
from indexer.process.generation_builder import BuildRequest
from indexer.settings import IndexerSettings
from retrieval.encoders.models.sources import CONFIG_FILE, available_models, fetch_ahead
from retrieval.encoders.settings import EncoderSettings
from retrieval.generations.fitting import store_choice
from runtime.rights.fetching import FetchSettings, require_fetchable, require_resolved_below
from schemas.errors import ConfigurationError, InvalidRequestError

_STORE: Final = "vectors."
"""Before the names of what concerns the collection."""


def chosen_encoder(settings: EncoderSettings, model: str, assignments: Sequence[str]) -> EncoderSettings:
    """The settings with another model and other values, given as NAME=VALUE; `sparse.model` names a nested one.

    Raises:
        ConfigurationError: a name is not one of the encoder's settings, or a value is not valid.
    """
    raw: dict[str, Any] = settings.model_dump()
    for assignment in (*([f"model={model}"] if model else ()), *assignments):
        if assignment.startswith(_STORE):
            continue
        path, sign, value = assignment.partition("=")
        *sections, name = path.removeprefix("encoder.").split(".")
        section = raw
        for part in sections:
            section = section.get(part, {}) if isinstance(section, dict) else {}
        if not sign or name not in section:
            raise ConfigurationError(
                f"--set {assignment!r} is not NAME=VALUE of an encoder setting; the names are {', '.join(raw)}, sparse.model"
            )
        section[name] = value
    try:
        return EncoderSettings.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise ConfigurationError(f"--set {'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def build_request(settings: IndexerSettings, asked: BuildBody) -> BuildRequest:
    """What is to be built: as the settings say, with what was asked; `vectors.NAME=VALUE` concerns the collection.

    Raises:
        ConfigurationError: a name is not one of the encoder's or a collection's settings, or a value is not valid.
    """
    changed = (each.removeprefix(_STORE).partition("=") for each in asked.assignments if each.startswith(_STORE))
    store = store_choice(settings.vectors, {name: value for name, _, value in changed})
    encoder = chosen_encoder(settings.encoder, asked.model, asked.assignments)
    return BuildRequest(asked.name, settings, encoder, store, asked.origin, asked.take_over)


class CallersModels:
    """What a caller of the API may choose: models that the server has configured, that come with it, or that are listed."""

    def __init__(self, own: EncoderSettings, allowed: FetchSettings | None = None) -> None:
        """`own` are the server's settings; `allowed` is what a caller may have fetched."""
        self._own = own
        self._allowed = allowed or FetchSettings()

    def require(self, model: str, assignments: Sequence[str]) -> None:
        """Check a choice before anything is opened.

        Raises:
            InvalidRequestError: it names what is not listed, or a folder that is the operator's to choose.
            ConfigurationError: as `chosen_encoder`.
        """
        chosen = chosen_encoder(self._own, model, assignments)
        if chosen.cache_dir != self._own.cache_dir:
            raise InvalidRequestError("set: cache_dir is a folder of the server, which its own settings name")
        for what, named in _named(chosen, self._own):
            require_fetchable(named, self._allowed, what=what)

    def fetch(self, model: str, assignments: Sequence[str]) -> None:
        """Fetch what `require` let through, so that nothing is left to be fetched; blocking.

        Raises:
            InvalidRequestError: a folder leads out of what is listed.
            ConfigurationError, ModelNotFoundError: a URL cannot be read, or is no model's.
        """
        for what, named in _named(chosen_encoder(self._own, model, assignments), self._own):
            if "://" not in named:
                require_resolved_below(Path(named), self._allowed, what=what)
            else:
                fetch_ahead(named, self._own.cache_dir, **({} if what == "model" else {"marker": CONFIG_FILE}))


def _named(chosen: EncoderSettings, own: EncoderSettings) -> list[tuple[str, str]]:
    """The models that the caller brought in, each by the name of its setting."""
    known = {"", own.model, own.sparse.model, *(each.model for each in available_models())}
    both = (("model", chosen.model), ("sparse.model", chosen.sparse.model))
    return [(what, model) for what, model in both if model not in known]
