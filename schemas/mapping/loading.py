"""Reading a mapping file, with errors that name the entry at fault."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import ValidationError

from schemas.errors import InvalidMappingError
from schemas.mapping.compiled import CompiledMapping, compile_mapping
from schemas.mapping.model import Mapping

MAX_MAPPING_BYTES: Final = 1_000_000
_DEFAULT: Final = Path(__file__).with_name("default.yaml")
_SHOWN_ERRORS: Final = 10


def load_mapping(path: Path | None = None, default_tenant: str = "default") -> CompiledMapping:
    """Read and compile a mapping file; without a path, the default mapping of conventional column names.

    Raises:
        InvalidMappingError: the file cannot be read, is not YAML, or an entry is not valid.
    """
    source = _DEFAULT if path is None else path
    try:
        if source.stat().st_size > MAX_MAPPING_BYTES:
            msg = f"{source.name} is larger than {MAX_MAPPING_BYTES} bytes"
            raise InvalidMappingError(msg)
        text = source.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{source.name} cannot be read: {error}"
        raise InvalidMappingError(msg) from error
    return compile_mapping(parse_mapping(text), default_tenant)


def parse_mapping(text: str) -> Mapping:
    """Validate a mapping's YAML.

    Raises:
        InvalidMappingError: it is not YAML, or an entry is not valid; the message names each, as `tables[1].sku`.
    """
    try:
        raw = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        msg = f"the mapping is not YAML: {' '.join(str(error).split())}"
        raise InvalidMappingError(msg) from error
    try:
        return Mapping.model_validate({} if raw is None else raw)
    except ValidationError as error:
        raise InvalidMappingError(_described(error, raw)) from error


@cache
def default_mapping(default_tenant: str = "default") -> CompiledMapping:
    """The default mapping, compiled once a tenant."""
    return load_mapping(None, default_tenant)


def _described(error: ValidationError, raw: Any) -> str:
    details = error.errors(include_url=False, include_context=False, include_input=False)
    lines = [f"{_place(detail['loc'], raw)}: {detail['msg']}" for detail in details[:_SHOWN_ERRORS]]
    more = len(details) - _SHOWN_ERRORS
    return "; ".join(lines) + (f"; and {more} more" if more > 0 else "")


def _place(location: tuple[int | str, ...], raw: Any) -> str:
    """`tables[1] 'stock'.sku` of pydantic's location, with the entry's own name where it has one."""
    place = ""
    for step in location:
        place += f"[{step}]" if isinstance(step, int) else f".{step}" if place else str(step)
        raw = _child(raw, step)
        if isinstance(step, int) and isinstance(raw, dict) and isinstance(raw.get("name"), str):
            place += f" {raw['name'][:80]!r}"
    return place or "the mapping"


def _child(raw: Any, step: int | str) -> Any:
    if isinstance(raw, dict):
        return raw.get(step)
    if isinstance(raw, list) and isinstance(step, int) and step < len(raw):
        return raw[step]
    return None
