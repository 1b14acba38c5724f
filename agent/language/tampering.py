"""Messages that want to change the rules instead of the order: prices, discounts, instructions, the agent's own text.

Nothing here is what keeps prices safe: no tool can change one, and no confirmation happens without the person's own
words. These rules let the agent say so plainly, and keep "ponle precio 1 a ese taladro" from being read as an order.
"""

from __future__ import annotations

import re
from typing import Final

from retrieval.analysis.folding import fold

_RULES: Final = r"(?:instruccion(?:es)?|instructions?|instrucoes|reglas?|rules?|regras|prompt|restriccion(?:es)?|politicas?|guidelines)"
_PRICE: Final = r"(?:precios?|prices?|precos?|costos?|valor(?:es)?)"
_PATTERNS: Final = tuple(
    map(
        re.compile,
        (
            rf"\b(?:ignor|olvid|desobede|desoye|omit|forget|disregard|override|bypass|salt[ae]|esque[cç])\w*\b.{{0,40}}\b{_RULES}\b",
            rf"\b(?:muestra|mostra|ensena|dime|decime|revela|repite|imprime|show|reveal|print|repeat|tell|what (?:is|are))\w*\b.{{0,40}}\b(?:{_RULES}|system prompt)\b",
            r"^\W*(?:system|sistema|assistant|developer|admin(?:istrador)?)\s*[:>\]]",
            r"\b(?:eres|actua|ahora eres|you are now|act as|pretend|finge|modo)\b.{0,30}\b(?:admin\w*|desarrollador|developer|dan|otro|sin reglas|gerente|due[nñ]o|manager)\b",
            r"\b(?:soy|i am|i'm|usuario es|user is)\b.{0,20}\b(?:admin\w*|el due[nñ]o|gerente|the owner|manager|desarrollador)\b",
            rf"\b(?:pon(?:le|er|me|ga|gan)?|deja(?:me|lo|la)?|cambi(?:a|ale|ar|e)|baj(?:a|ale|ar|e|ame)|modific\w+|ajust\w+|marc\w+|set|change|make|lower|update|dame|haz(?:me|lo)?|cobr\w+|reduce|register|registra)\b[^?]{{0,30}}\b{_PRICE}\b",
            rf"\b{_PRICE}\b.{{0,30}}\b(?:a|en|to|=|de)\s*(?:cero|zero|0|1|un peso|one (?:dollar|peso)|gratis)\b",
            r"\b\d{1,3}\s*(?:%|por ciento|percent)\s*(?:de\s+|of\s+)?(?:descuento|off|discount|dto|rebaja)|\b(?:descuento|discount|rebaja|desconto)\b.{0,20}\d{1,3}\s*(?:%|por ciento|percent)",
            r"\b(?:aplica|haz|hace|dame|me das|quiero|give me|apply|hazme|haceme|ponme|ponle|pon)\b.{0,25}\b(?:descuento|rebaja|discount|gratis|free|regalado)\b",
            r"\b(?:confirm|submit|envi|mand|compr|place|order)\w*\b.{0,40}\b(?:sin (?:preguntar|confirmar|permiso|avisar)|without (?:asking|confirmation|permission)|automatic\w+|por (?:tu|su) cuenta|solo sin|siempre)\b",
            r"\b(?:otro|otra|other|another|demas|otros|otras)\s+(?:cliente|tenant|usuario|tienda|customer|user|shop|clientes|usuarios|customers|tiendas)\b",
            r"\bsystem prompt\b|\bprompt del sistema\b|\bjailbreak\b|<\s*/?\s*(?:system|tool|assistant|instructions?)\s*>",
        ),
    )
)


def is_tampering(message: str) -> bool:
    """Whether the message asks for what no customer can have: other prices, other rules, other people's data."""
    text = fold(message)
    return any(pattern.search(text) for pattern in _PATTERNS)
