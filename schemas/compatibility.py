"""Whether a JSON Schema still takes and gives what its older version did: the check behind every change of a contract.

Both directions count at once, for most of our contracts are read by some and written by others: nothing may disappear,
nothing may become required, no type and no limit may become narrower.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

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
