"""What keeps an order from being submitted by accident or by trickery: explicit confirmations, and messages that want to change the rules.

A message confirms only when it is made wholly of words of assent, whoever plans the turn. One word more ("confirma sin
preguntar", "confirmo si me haces descuento", "no confirmes aún") and it does not.

The rules about tampering (prices, discounts, instructions) are not what keeps prices safe: no tool can change one. They let
the agent say so plainly, and keep "ponle precio 1 a ese taladro" from being read as an order.
"""

from __future__ import annotations

import re
from typing import Final

from retrieval.analysis.folding import fold

_ORDER: Final = r"(?:(?:el|la|mi|este|esta|todo el|toda la|the|my|o|meu)\s+)?(?:pedido|orden|compra|order|lista|carrito|cart)(?:\s+(?:completo|completa|asi|as is))?"
_CONFIRM: Final = (
    r"(?:(?:lo|la|te lo|yo|i|we|te|los|las)\s+)?confirm(?:o|amos|ado|ada|alo|ala|e|elo|ar|ed|a|ame|emos|it)?(?:\s+it)?"
    r"|proced(?:e|a|amos|an|eu|er)|proceed|(?:hag|haz|hac)(?:a|e|amos)?(?:l[oa])|(?:go|lets go|let's go) ahead"
    r"|(?:te\s+)?(?:mand|envi|despach|tramit|proces|pid)(?:a|e|en|ar|emos|alo|elo|ala|enlo|eme|ame|amelo|emelo|ir|ilo|elos|alos)(?:\s+ya)?"
    r"|(?:cierr|cerr)(?:a|e|ar|alo|ala|emos|amos)|finaliz(?:a|ar|o|amos|alo)|complet(?:a|ar|alo)|aprob(?:ado|ada)|apruebo|autorizo|aceptado|acepto|de acuerdo"
    r"|(?:send|submit|place|ship|finish|complete|finalize|approve|process|book)(?:\s+(?:it|that|them))?|(?:i\s+)?approved?|check\s?out|comprar|compralo|lo compro|pode (?:enviar|mandar|confirmar)|pode ser|fecha(?:r)?(?:\s+o)?|manda ver"
)
_ASSENT: Final = (
    r"si|sip|sim|yes|yep|yeah|sure|claro(?:\s+que\s+si)?|correcto|exacto|asi es|eso(?:\s+es)?|dale|va|sale|ok(?:ay|is|i)?|okey|vale|listo|perfecto|bueno|bien|(?:muy|todo|ta|esta|estamos|esta todo|todo esta)\s+(?:bien|correcto|listo|ok|perfecto|conforme)"
    r"|conforme|de una|hecho|genial|excelente|great|good|perfect|right|correct|fine|looks good|all good|that'?s (?:it|all|right)|joya|chevere|bacan|de lujo|simon|orale|fechado|beleza|certo|isso"
)
_FILLER: Final = r"(?:por|please|pls)(?:\s+favor)?|porfa(?:vor|s)?|gracias|thanks|thank you|muchas|ya|asi|tal cual|nada mas|eso es todo|es todo|that is all|ahora|ahorita|entonces|pues|po|pe|che|jefe|amigo|amiga|bro|y|and|e|todo|all|now|no mas|nomas|con eso|as is|as it is|then|it|lo|esta|ta|the|solo eso|seria todo|nada|con todo|obrigado|obrigada|so|just|me|te|a|hermano|mano|pana|parce|compa|de"
_PART: Final = re.compile(
    rf"(?P<confirm>(?:{_CONFIRM})(?:\s+{_ORDER})?)(?=\W|$)|(?P<assent>{_ASSENT})(?=\W|$)|(?P<filler>{_FILLER}|{_ORDER})(?=\W|$)"
)
_LONGEST: Final = 120
_SEPARATOR: Final = re.compile(r"[\s,.;:!¡]+")


def is_explicit_confirmation(message: str) -> bool:
    """Whether the message confirms the order in so many words: `confirmo`, `dale, confirmo`, `yes, send it`."""
    return _read(message) == "confirm"


def is_assent(message: str) -> bool:
    """Whether it is a bare yes: it confirms only as the answer to the question whether to confirm."""
    return _read(message) == "assent"


def _read(message: str) -> str:
    """`confirm`, `assent`, or empty where the message holds anything else."""
    text = fold(message).strip(" ,.;:!¡")
    if not text or len(text) > _LONGEST or "?" in text:
        return ""
    strongest = ""
    at = 0
    while at < len(text):
        part = _PART.match(text, at)
        if part is None:
            return ""
        if part["confirm"]:
            strongest = "confirm"
        elif part["assent"] and not strongest:
            strongest = "assent"
        at = part.end()
        gap = _SEPARATOR.match(text, at)
        if gap is not None:
            at = gap.end()
        elif at < len(text):
            return ""
    return strongest


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
