"""Which language to answer in: the locale where the caller names one, else told by function words, else as before."""

from __future__ import annotations

import re
from typing import Final, Literal

from retrieval.analysis.folding import fold

Language = Literal["es", "en", "pt"]

_WORDS: Final[dict[Language, frozenset[str]]] = {
    "es": frozenset(
        [
            "el",
            "la",
            "los",
            "las",
            "un",
            "una",
            "unos",
            "unas",
            "del",
            "al",
            "y",
            "que",
            "de",
            "en",
            "con",
            "por",
            "para",
            "mi",
            "tu",
            "su",
            "ese",
            "esa",
            "eso",
            "este",
            "esta",
            "dame",
            "deme",
            "ponme",
            "quiero",
            "necesito",
            "hola",
            "cuanto",
            "cuesta",
            "vale",
            "tienes",
            "tenes",
            "tienen",
            "hay",
            "pedido",
            "confirmo",
            "quita",
            "agrega",
            "mas",
            "barata",
            "barato",
            "mejor",
            "bueno",
            "ver",
            "mostrame",
            "muestrame",
            "si",
        ]
    ),
    "en": frozenset(
        [
            "the",
            "a",
            "an",
            "of",
            "and",
            "to",
            "in",
            "on",
            "for",
            "with",
            "my",
            "your",
            "that",
            "this",
            "those",
            "these",
            "i",
            "you",
            "do",
            "have",
            "need",
            "want",
            "add",
            "show",
            "order",
            "please",
            "remove",
            "much",
            "cost",
            "price",
            "is",
            "are",
            "it",
            "them",
            "one",
            "yes",
            "hello",
            "hi",
            "cheapest",
            "confirm",
            "send",
            "cancel",
            "change",
            "make",
            "what",
            "how",
            "any",
            "looking",
        ]
    ),
    "pt": frozenset(
        [
            "o",
            "os",
            "um",
            "uma",
            "uns",
            "umas",
            "do",
            "da",
            "dos",
            "das",
            "nao",
            "com",
            "para",
            "meu",
            "quero",
            "preciso",
            "voce",
            "voces",
            "tem",
            "quanto",
            "custa",
            "obrigado",
            "obrigada",
            "ola",
            "bom",
            "dia",
            "adicione",
            "remova",
            "pedido",
            "mostre",
            "isso",
            "esse",
            "essa",
            "mais",
            "barato",
            "confirmar",
            "coloque",
        ]
    ),
}
_NAMED: Final[dict[str, Language]] = {"es": "es", "en": "en", "pt": "pt"}
_ENGLISH_ONLY: Final = frozenset(
    ["the", "of", "and", "with", "please", "how", "much", "need", "show", "remove", "add", "you"]
)
_PORTUGUESE_ONLY: Final = frozenset(
    [
        "nao",
        "voce",
        "voces",
        "quanto",
        "custa",
        "tem",
        "quero",
        "preciso",
        "obrigado",
        "meu",
        "adicione",
        "coloque",
        "ola",
        "um",
        "uma",
        "dos",
        "das",
    ]
)


def language_of(message: str, *, locale: str = "", before: Language = "es") -> Language:
    """The language of the reply. A message that does not tell (`ok`, a SKU) keeps the language of the conversation."""
    named = _NAMED.get(locale[:2].lower())
    if named is not None:
        return named
    words = re.findall(r"[a-z]+", fold(message))
    scores: dict[Language, float] = {
        language: sum(word in known for word in words) for language, known in _WORDS.items()
    }
    scores["en"] += sum(word in _ENGLISH_ONLY for word in words) * 0.5
    # Half of Portuguese reads like Spanish; only its own words make a sentence Portuguese.
    scores["pt"] = scores["pt"] if sum(word in _PORTUGUESE_ONLY for word in words) >= 2 else 0
    best: Language = max(_WORDS, key=lambda language: (scores[language], language == before))
    return best if scores[best] >= 1 else before
