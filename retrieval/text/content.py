"""What a document contributes to each analysed field, and the codes by which it is looked up. Shared by all adapters."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from retrieval.analysis.abbreviations import SHIPPED, Abbreviations
from retrieval.analysis.folding import fold_code
from retrieval.analysis.pipeline import analyse, surface_words
from retrieval.analysis.tokens import Token, TokenKind
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
    brand: str
    category: str
    names: tuple[str, ...]
    body: str


def words_of(document: SearchDocument) -> DocumentWords:
    """What of a document is analysed."""
    names = (document.sku, document.part_number, *document.ean)
    return DocumentWords(document.title, document.brand, document.category, names, _body(document))


def content_of(document: SearchDocument, abbreviations: Abbreviations = SHIPPED) -> Content:
    """Analyse a document for the index."""
    return content_of_words(words_of(document), abbreviations)


def content_of_words(words: DocumentWords, abbreviations: Abbreviations = SHIPPED) -> Content:
    """Analyse what `words_of` took from a document."""
    title, brand, category, names, body = words
    tokens: dict[TextField, list[Token]] = {field: [] for field in TextField}
    for token in analyse(title, abbreviations).tokens:
        tokens[_TITLE_FIELDS[token.kind]].append(token)
    tokens[TextField.LABELS] = list(analyse(f"{brand} , {category}", abbreviations).tokens)
    tokens[TextField.CODES] += [
        token for token in analyse(" , ".join(names), abbreviations).tokens if token.kind is TokenKind.CODE
    ]
    tokens[TextField.BODY] = list(analyse(body, abbreviations).tokens)
    codes = frozenset(filter(None, map(fold_code, names)))
    known = {token.text for token in tokens[TextField.CODES]}
    tokens[TextField.CODES] += [Token(code, TokenKind.CODE, 0) for code in sorted(codes - known)]
    surface = frozenset(surface_words(f"{title} {brand} {category}"))
    return Content({field: tuple(found) for field, found in tokens.items()}, codes, surface)


def _body(document: SearchDocument) -> str:
    attributes: Iterable[str] = (
        f"{name} {value}" for name, value in document.attributes.items() if not isinstance(value, bool)
    )
    return " \n ".join([document.description, *document.bullets, *attributes])
