"""The encoder of a new generation, from the settings and what the command line or a caller of the API changes of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from retrieval.encoders.models.sources import CONFIG_FILE, available_models, fetch_ahead
from retrieval.encoders.settings import EncoderSettings
from runtime.rights.fetching import FetchSettings, require_fetchable, require_resolved_below
from schemas.errors import ConfigurationError, InvalidRequestError


def chosen_encoder(settings: EncoderSettings, model: str, assignments: Sequence[str]) -> EncoderSettings:
    """The settings with another model and other values, given as NAME=VALUE; `sparse.model` names a nested one.

    Raises:
        ConfigurationError: a name is not one of the encoder's settings, or a value is not valid.
    """
    raw: dict[str, Any] = settings.model_dump()
    for assignment in (*([f"model={model}"] if model else ()), *assignments):
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
