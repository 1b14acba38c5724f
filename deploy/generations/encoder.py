"""The encoder of a new generation, from the settings and what the command line changes of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from retrieval.encoders.settings import EncoderSettings
from schemas.errors import ConfigurationError


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
