"""What a document contributes to each analysed field, and the codes by which it is looked up. Shared by all adapters."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from retrieval.analysis.folding import fold_code
from retrieval.analysis.pipeline import analyse, surface_words
from retrieval.analysis.tokens import AnalysedText, Token, TokenKind
from retrieval.filters import filter_values
from runtime.isolation import concerns_one
from schemas.catalogue import SEARCHED as BY_ROLE
from schemas.catalogue import Role
from schemas.documents import SearchDocument


class TextField(StrEnum):
    """The analysed fields. Kinds of token are kept apart so that a size does not lengthen the title it stands in."""

    TITLE = "title"
    LABELS = "labels"
    SIZES = "sizes"
    CODES = "codes"
    BODY = "body"


@dataclass(frozen=True, slots=True)
class Content:
    """A living document's tokens by field, the exact codes that name it, and the folded words that people read in it."""

    tokens: dict[TextField, tuple[Token, ...]]
    codes: frozenset[str]
    words: frozenset[str] = frozenset()


_TITLE_FIELDS = {
    TokenKind.WORD: TextField.TITLE,
    TokenKind.NUMBER: TextField.TITLE,
    TokenKind.MEASURE: TextField.SIZES,
    TokenKind.CODE: TextField.CODES,
}


class DocumentWords(NamedTuple):
    """All of a document that is analysed: two documents that agree in it have the same content, whatever they cost."""

    title: str
    labels: tuple[str, ...]
    names: tuple[str, ...]
    body: str


def words_of(document: SearchDocument) -> DocumentWords:
    """What of a document is analysed."""
    return DocumentWords(
        document.title,
        tuple(_texts(document, Role.LABEL)),
        (document.sku, *_texts(document, Role.CODE)),
        " \n ".join(_texts(document, Role.BODY)),
    )


class Part(StrEnum):
    """What of a product can fail by itself, in the operator's words."""

    TITLE = "title"
    LABELS = "brand and category"
    CODES = "codes"
    LOOKUP = "lookup by code"
    BODY = "description"
    """Bullets and attributes with it: they are one text."""
    WORDS = "suggestions"
    FILTERS = "filters"
    """Brand and category as keywords."""


SEARCHED: Final = frozenset({Part.TITLE, Part.LABELS, Part.CODES, Part.LOOKUP, Part.BODY})
"""Without all of these a product is found by no word."""

Analyse = Callable[[str], AnalysedText]
"""From text to tokens: the analyser."""


def content_of(document: SearchDocument, analyser: Analyse | None = None) -> Content:
    """Analyse a document for the index."""
    return content_of_words(words_of(document), analyser=analyser)


def content_of_words(
    words: DocumentWords, without: Collection[Part] = frozenset(), *, analyser: Analyse | None = None
) -> Content:
    """Analyse what `words_of` took from a document, without the parts that are named."""
    draft = _Draft(words, analyser or analyse)
    for part, add in _ADDING.items():
        if part not in without:
            add(draft)
    return Content(
        {field: tuple(found) for field, found in draft.tokens.items()}, frozenset(draft.codes), frozenset(draft.words)
    )


def failing_parts(document: SearchDocument, analyser: Analyse | None = None) -> dict[Part, Exception]:
    """The parts that cannot be indexed, each tried by itself, and why; empty where only all of them together fail."""
    failing: dict[Part, Exception] = {}
    words = words_of(document)
    for part in Part:
        try:
            if part is Part.FILTERS:
                filter_values(document)
            else:
                _ADDING[part](_Draft(words, analyser or analyse))
        except Exception as error:
            if not concerns_one(error):
                raise
            failing[part] = error
    return failing


class _Draft:
    """A content in the making."""

    def __init__(self, words: DocumentWords, analyser: Analyse) -> None:
        self.text = words
        self.analyse = analyser
        self.tokens: dict[TextField, list[Token]] = {field: [] for field in TextField}
        self.codes: set[str] = set()
        self.words: set[str] = set()

    def add_title(self) -> None:
        for token in self.analyse(self.text.title).tokens:
            self.tokens[_TITLE_FIELDS[token.kind]].append(token)

    def add_labels(self) -> None:
        self.tokens[TextField.LABELS] += self.analyse(" , ".join(self.text.labels)).tokens

    def add_codes(self) -> None:
        named = self.analyse(" , ".join(self.text.names)).tokens
        self.tokens[TextField.CODES] += [token for token in named if token.kind is TokenKind.CODE]

    def add_lookup(self) -> None:
        found = self.tokens[TextField.CODES]
        self.codes = set(filter(None, map(fold_code, self.text.names)))
        known = {token.text for token in found}
        found += [Token(code, TokenKind.CODE, 0) for code in sorted(self.codes - known)]

    def add_body(self) -> None:
        self.tokens[TextField.BODY] += self.analyse(self.text.body).tokens

    def add_words(self) -> None:
        self.words = set(surface_words(" ".join((self.text.title, *self.text.labels))))


_ADDING: Final[Mapping[Part, Callable[[_Draft], None]]] = {
    Part.TITLE: _Draft.add_title,
    Part.LABELS: _Draft.add_labels,
    Part.CODES: _Draft.add_codes,
    Part.LOOKUP: _Draft.add_lookup,
    Part.BODY: _Draft.add_body,
    Part.WORDS: _Draft.add_words,
}


def _texts(document: SearchDocument, role: Role) -> Iterator[str]:
    """What the document says in the fields of a role, in their order; yes and no among attributes say nothing by themselves."""
    for field in BY_ROLE[role]:
        value = getattr(document, field.name)
        if isinstance(value, str):
            yield value
        elif isinstance(value, Mapping):
            yield from (f"{name} {one}" for name, one in value.items() if not isinstance(one, bool))
        else:
            yield from value
