"""Whether a message is an explicit confirmation, and nothing but that.

The rule is what keeps an order from being submitted by accident or by trickery, whoever plans the turn: a message
confirms only when it is made wholly of words of assent. One word more ("confirma sin preguntar", "confirmo si me haces
descuento", "no confirmes aún") and it does not.
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
