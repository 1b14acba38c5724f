"""The shared vocabulary that ships: `base.yaml` and `complements.yaml`, written from knowledge of the trade, as records.

The first has one entry a line: `synonyms` are groups, `aliases` one-way, `translations` English words to Spanish ones, and
`intents` what people want to do, each verb with each object. `term @MX,CO` names where a term is used; matching does
without it, since what a shop calls a thing is in its own catalogue. The second has `complements`: what a product (`for`) is
used together with (`use`). Both have the same format, which a shop's own file may hold as well.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from importlib.resources import files
from typing import Any, Final

import yaml

from retrieval.aliases.compiled import phrase_of
from retrieval.analysis.folding import fold
from schemas.errors import ConfigurationError
from schemas.records.aliases import AliasKind, AliasRecord

SOURCE: Final = "shipped"

_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""Ten times as fast; absent where PyYAML was built without libyaml."""
_FILES: Final = ("base.yaml", "complements.yaml")
_REGIONS: Final = re.compile(r"\s*@[A-Z]{2}(?:,[A-Z]{2})*$")
_NOT_IN_AN_ID: Final = re.compile(r"[^a-z0-9]+")


@cache
def shipped_aliases() -> tuple[AliasRecord, ...]:
    """The records of the shipped files, read once a process."""
    texts = (files("retrieval.aliases").joinpath(name).read_text(encoding="utf-8") for name in _FILES)
    tables = (yaml.load(text, Loader=_LOADER) for text in texts)  # noqa: S506 - either is a safe loader
    return tuple(record for table in tables for record in read_table(table))


def read_table(table: Any) -> Iterator[AliasRecord]:
    """The records of a table in the shipped file's format; ids come from the first term, so editing a group keeps its id.

    Raises:
        ConfigurationError: the table has a section that is not known, or an entry of the wrong shape.
    """
    unknown = set(table) - {"version", *_SECTIONS}
    if unknown:
        raise ConfigurationError(f"an alias table has no section {', '.join(sorted(unknown))}; use {sorted(_SECTIONS)}")
    used: set[str] = set()
    for section, read in _SECTIONS.items():
        try:
            for kind, terms, targets in read(table.get(section) or ()):
                name = _unused(f"{section}:{_slug(terms[0])}", used)
                yield AliasRecord(id=name, kind=kind, terms=terms, targets=targets, source=SOURCE)
        except (TypeError, KeyError, ValueError, AttributeError) as error:
            raise ConfigurationError(f"section {section} of the alias table: {error}") from error


_Entry = tuple[AliasKind, tuple[str, ...], tuple[str, ...]]


def _synonyms(groups: Iterable[list[str]]) -> Iterator[_Entry]:
    for group in groups:
        yield AliasKind.SYNONYM, _terms(group), ()


def _aliases(entries: Iterable[dict[str, Any]]) -> Iterator[_Entry]:
    for entry in entries:
        yield AliasKind.ALIAS, _terms(entry["from"].split("|")), _terms(entry["to"])


def _translations(words: dict[str, str] | tuple[()]) -> Iterator[_Entry]:
    for english, spanish in dict(words).items():
        yield AliasKind.ALIAS, _terms(english.split("|")), _terms(spanish.split("|"))


def _intents(entries: Iterable[dict[str, list[str]]]) -> Iterator[_Entry]:
    for entry in entries:
        wanted = [f"{verb} {thing}".strip() for verb in entry["do"] for thing in entry.get("what", [""])]
        # A verb alone that is analysed like one of its tools (`lijar`, `lija`) would make a need of every search for the tool.
        tools = {phrase_of(tool).words for tool in entry["use"]}
        needs = [each for each in wanted if each not in entry["do"] or phrase_of(each).words not in tools]
        yield AliasKind.ALIAS, _terms(needs), _terms(entry["use"])


def _complements(entries: Iterable[dict[str, list[str]]]) -> Iterator[_Entry]:
    for entry in entries:
        yield AliasKind.COMPLEMENT, _terms(entry["for"]), _terms(entry["use"])


_SECTIONS: Final[dict[str, Callable[[Any], Iterator[_Entry]]]] = {
    "synonyms": _synonyms,
    "aliases": _aliases,
    "translations": _translations,
    "intents": _intents,
    "complements": _complements,
}


def _terms(written: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_REGIONS.sub("", term).strip() for term in written))


def _slug(term: str) -> str:
    return _NOT_IN_AN_ID.sub("-", fold(term)).strip("-") or "entry"


def _unused(name: str, used: set[str]) -> str:
    candidate, number = name, 2
    while candidate in used:
        candidate, number = f"{name}-{number}", number + 1
    used.add(candidate)
    return candidate
