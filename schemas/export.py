"""The JSON Schemas of the contracts, written to `schemas/json`: `python -m schemas.export`.

A schema that would break those who know the committed one is not written, unless `--breaking` says that it is meant.
Both directions count at once, for most of our contracts are read by some and written by others: nothing may disappear,
nothing may become required, no type and no limit may become narrower.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

from schemas.api.chat import ChatRequest, Deleted, ThreadsSetApart, ThreadView, TurnReply, TurnStep
from schemas.api.items import Item
from schemas.api.orders import Confirmed, ConfirmRequest, OrderList, OrderView, RetryRequest
from schemas.api.problems import Problem
from schemas.api.search import SearchRequest, SearchResponse
from schemas.api.status import StatusResponse
from schemas.documents import SearchDocument
from schemas.errors import FatalError
from schemas.events.dead_letters import DeadLetterHeaders
from schemas.events.wire import ChangeEventIn
from schemas.mapping.model import Mapping as MappingFile
from schemas.records.orders import SubmittedOrder

FOLDER: Final = Path(__file__).with_name("json")
_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_IDENTIFIER: Final = "urn:ferroflux:schema:"

CONTRACTS: Final[Mapping[str, type[BaseModel]]] = {
    "change-event": ChangeEventIn,
    "search-document": SearchDocument,
    "mapping": MappingFile,
    "dead-letter-headers": DeadLetterHeaders,
    "search-request": SearchRequest,
    "search-response": SearchResponse,
    "item": Item,
    "status": StatusResponse,
    "problem": Problem,
    "submitted-order": SubmittedOrder,
    "order": OrderView,
    "order-list": OrderList,
    "order-confirmation": ConfirmRequest,
    "confirmed-order": Confirmed,
    "retry": RetryRequest,
    "chat-request": ChatRequest,
    "chat-reply": TurnReply,
    "chat-step": TurnStep,
    "conversation": ThreadView,
    "conversations-set-apart": ThreadsSetApart,
    "deleted-conversations": Deleted,
}
"""File name (without `.json`) to model."""


class IncompatibleSchemaError(FatalError):
    """A contract changed in a way that breaks those who use it. Add instead of changing, or export with --breaking and say so in the changelog."""

    code = "incompatible_schema"


def render(name: str, contract: type[BaseModel]) -> dict[str, Any]:
    """One contract's JSON Schema, in the form that its readers are to validate by."""
    schema = contract.model_json_schema(by_alias=True, mode="validation")
    return {"$schema": _DIALECT, "$id": _IDENTIFIER + name, **schema}


def to_text(schema: Mapping[str, Any]) -> str:
    """A schema as it stands in its file."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def export_all(
    folder: Path = FOLDER, contracts: Mapping[str, type[BaseModel]] = CONTRACTS, *, breaking: bool = False
) -> list[Path]:
    """Write the schemas of all contracts; returns the files that changed.

    Raises:
        IncompatibleSchemaError: a schema breaks the one in the folder, and `breaking` is not set; nothing is written.
    """
    rendered = {folder / f"{name}.json": render(name, contract) for name, contract in contracts.items()}
    problems = [
        f"{path.name} {problem}"
        for path, schema in rendered.items()
        if path.exists() and not breaking
        for problem in incompatibilities(json.loads(path.read_text(encoding="utf-8")), schema)
    ]
    if problems:
        raise IncompatibleSchemaError("; ".join(problems))
    folder.mkdir(parents=True, exist_ok=True)
    changed = []
    for path, schema in rendered.items():
        text = to_text(schema)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            changed.append(path)
    return changed


def main(arguments: list[str] | None = None) -> int:
    """Export the schemas; 1 where a contract would break."""
    parser = argparse.ArgumentParser(prog="python -m schemas.export", description=__doc__)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the files go (default: schemas/json)")
    parser.add_argument("--breaking", action="store_true", help="write schemas that break their committed version")
    options = parser.parse_args(arguments)
    try:
        changed = export_all(options.folder, breaking=options.breaking)
    except IncompatibleSchemaError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write("".join(f"written: {path.name}\n" for path in changed) or "all schemas are current\n")
    return 0


Schema = Mapping[str, Any]

_LOWER_BOUNDS: Final = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_UPPER_BOUNDS: Final = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_UNIONS: Final = ("anyOf", "oneOf")


def incompatibilities(old: Schema, new: Schema) -> tuple[str, ...]:
    """What the new schema breaks for those who know the old one, each as `path: what`; empty where nothing."""
    return tuple(_Comparison(old, new).compare(old, new, "$"))


class _Comparison:
    """One comparison: the two documents that references are resolved in, and the pairs that are being compared."""

    def __init__(self, old: Schema, new: Schema) -> None:
        self._old_root, self._new_root = old, new
        self._open: set[tuple[str, str]] = set()

    def compare(self, old: Schema, new: Schema, path: str) -> Iterator[str]:
        pair = (str(old.get("$ref", "")), str(new.get("$ref", "")))
        if all(pair):
            if pair in self._open:
                return  # a recursive schema: the pair is compared further up
            self._open.add(pair)
        old, new = _resolved(old, self._old_root), _resolved(new, self._new_root)
        if any(union in schema for schema in (old, new) for union in _UNIONS):
            yield from self._unions(old, new, path)
        else:
            yield from self._plain(old, new, path)
        self._open.discard(pair)

    def _unions(self, old: Schema, new: Schema, path: str) -> Iterator[str]:
        """Each old alternative must have a new one that takes at least as much."""
        offered = list(_alternatives(new, self._new_root))
        for index, alternative in enumerate(_alternatives(old, self._old_root)):
            problems = [list(self.compare(alternative, other, path)) for other in offered]
            if all(problems):
                closest = min(problems, key=len)
                yield f"{path}: alternative {index} is gone or narrower ({closest[0]})"

    def _plain(self, old: Schema, new: Schema, path: str) -> Iterator[str]:
        yield from _types(old, new, path)
        yield from _values(old, new, path)
        yield from _bounds(old, new, path)
        yield from self._members(old, new, path)
        for keyword in ("items", "additionalProperties"):
            yield from self._inner(old.get(keyword, True), new.get(keyword, True), f"{path}.{keyword}")
        for keyword in ("pattern", "format", "multipleOf", "if", "then", "else", "not", "uniqueItems", "propertyNames"):
            if keyword in new and new[keyword] != old.get(keyword):
                yield f"{path}: {keyword} is new or another"

    def _members(self, old: Schema, new: Schema, path: str) -> Iterator[str]:
        before, after = old.get("properties", {}), new.get("properties", {})
        for name in before:
            if name not in after:
                yield f"{path}.{name}: property removed"
            else:
                yield from self.compare(before[name], after[name], f"{path}.{name}")
        for name in sorted(set(new.get("required", ())) - set(old.get("required", ()))):
            yield f"{path}.{name}: newly required"
        patterns = new.get("patternProperties", {})
        for pattern, member in old.get("patternProperties", {}).items():
            if pattern not in patterns:
                yield f"{path}: members by pattern {pattern!r} removed"
            else:
                yield from self.compare(member, patterns[pattern], f"{path}.[{pattern}]")

    def _inner(self, old: Schema | bool, new: Schema | bool, path: str) -> Iterator[str]:
        if new is True or old is False or new == {}:
            return
        if new is False or old is True:
            yield f"{path}: newly restricted"
            return
        yield from self.compare(old, new, path)


def _resolved(schema: Schema, root: Schema) -> Schema:
    """Follow references (`#/$defs/Name`), keeping what stands beside them."""
    seen = 0
    while "$ref" in schema and seen < 32:
        target: Any = root
        for step in str(schema["$ref"]).removeprefix("#/").split("/"):
            target = target[step]
        schema = {**target, **{name: value for name, value in schema.items() if name != "$ref"}}
        seen += 1
    return schema


def _alternatives(schema: Schema, root: Schema) -> Iterator[Schema]:
    """The members of a union, nested ones too, or the schema itself."""
    resolved = _resolved(schema, root)
    for keyword in _UNIONS:
        if keyword in resolved:
            for member in resolved[keyword]:
                yield from _alternatives(member, root)
            return
    yield schema


def _types(old: Schema, new: Schema, path: str) -> Iterator[str]:
    if "type" not in new:
        return
    before, after = _type_set(old), _type_set(new) or set()
    if "number" in after:
        after = after | {"integer"}
    if before is None or not before <= after:
        yield f"{path}: type narrowed from {_shown(old)} to {_shown(new)}"


def _type_set(schema: Schema) -> set[str] | None:
    kind = schema.get("type")
    if kind is None:
        return None
    return {kind} if isinstance(kind, str) else set(kind)


def _shown(schema: Schema) -> str:
    return "/".join(sorted(_type_set(schema) or {"any"}))


def _values(old: Schema, new: Schema, path: str) -> Iterator[str]:
    after = _value_set(new)
    if after is None:
        return
    before = _value_set(old)
    gone = None if before is None else [value for value in before if value not in after]
    if gone is None or gone:
        yield f"{path}: values removed: {', '.join(map(repr, gone)) if gone else 'any but ' + repr(after)}"


def _value_set(schema: Schema) -> list[Any] | None:
    if "const" in schema:
        return [schema["const"]]
    values: list[Any] | None = schema.get("enum")
    return values


def _bounds(old: Schema, new: Schema, path: str) -> Iterator[str]:
    for keyword in _LOWER_BOUNDS:
        if keyword in new and (keyword not in old or new[keyword] > old[keyword]):
            yield f"{path}: {keyword} raised to {new[keyword]}"
    for keyword in _UPPER_BOUNDS:
        if keyword in new and (keyword not in old or new[keyword] < old[keyword]):
            yield f"{path}: {keyword} lowered to {new[keyword]}"


if __name__ == "__main__":
    sys.exit(main())
