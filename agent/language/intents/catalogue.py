"""Questions to the catalogue: prices, stock, what there is, and back to an earlier answer."""

from __future__ import annotations

from typing import Final

PRICING: Final = (
    r"(?:a )?cuant[oa]s? (?:me )?(?:cuestan?|valen?|salen?|es(?:ta|tan)?|costaria|saldria|cobras?|cobran|sale|queda|seria)",
    r"a como (?:esta|estan|sale|salen|son|es|tienes|dan|tiene|tenes|me (?:sale|dejas)|das|vendes|lo|la|los|las)?",
    r"que (?:precio|valor|costo)s?(?: (?:tienen?|tenes|tienes|es|son|esta))?",
    r"(?:cual(?: es|es son)? )?(?:el |los |the |me das (?:el )?|dame (?:el )?|deme (?:el )?)?precios? (?:de|del|tiene|por|for|of)",
    r"en cuanto (?:sale|salen|esta|estan|lo|la|me|tienes)",
    r"how much (?:is|are|does|do|for|would|'s)(?: (?:it|they))?(?: cost)?",
    r"what(?:'s| is| are) the (?:price|cost)s?(?: (?:of|for))?",
    r"price (?:of|for|on)",
    r"cost of",
    r"cuesta",
    r"cuestan",
    r"vale",
    r"valen",
    r"sale a",
    r"cost",
    r"cotiza(?:me|r|cion)?(?: de)?",
    r"quanto custa",
    r"qual o preco",
    r"precio$",
    r"price$",
    r"how much$",
    r"cuanto$",
)
"""What it costs."""

STOCKING: Final = (
    r"(?:hay|tienes?|tenes|tienen|tiene|cuanto|cuanta|queda|have|in) (?:en )?(?:stock|existencias?|inventario|bodega|disponibilidad|disponibles?)",
    r"(?:en|de|su|sus) (?:stock|existencias?)(?: de)?",
    r"cuant[oa]s? (?:te |les |le )?(?:quedan?|hay|tienes?|tenes|tienen)(?: (?:en (?:stock|existencia)|disponibles?))?",
    r"stock (?:de|del|of)",
    r"disponibilidad (?:de|del)",
    r"how many .{0,40}(?:left|in stock|available|do you have)",
    r"(?:is|are) .{0,40}(?:in stock|available)",
    r"estan? disponibles?",
    r"disponibles?",
    r"in stock",
    r"tem em estoque",
    r"(?:te |les )?quedan?",
)
"""How many there are."""

SEARCHING: Final = (
    r"(?:que )?(?:tienes?|tenes|tienen|tiene|tendran?|tendras|tendrias|manejas?|manejan|venden?|vendes|hay|habra|existen?|ofrecen|consigo|consigues)(?: (?:de )?(?:algun[oa]?s?))?",
    r"busco",
    r"buscame",
    r"busc(?:a|ar|ame|o|amos)",
    r"ando buscando",
    r"estoy buscando",
    r"buscando",
    r"muestr(?:a|e)(?:me|nos)?",
    r"mostr(?:a|ar)(?:me|nos)?",
    r"ensen(?:a|e|ar)(?:me|nos)?",
    r"quiero ver",
    r"dejame ver",
    r"a ver",
    r"ver",
    r"que opciones",
    r"opciones de",
    r"cuales",
    r"que otr[oa]s?",
    r"y de",
    r"algo (?:para|como)",
    r"sirve para",
    r"con que",
    r"do (?:you|u|ya) (?:guys )?(?:have|sell|carry|got|stock)",
    r"have you got",
    r"you got",
    r"got any",
    r"looking for",
    r"show(?: me)?",
    r"search(?: for)?",
    r"find(?: me)?",
    r"any",
    r"what about",
    r"how about",
    r"(?:is|are) there(?: any)?",
    r"which",
    r"what (?:kind|types?) of",
    r"tem",
    r"voces tem",
    r"voce tem",
    r"procuro",
    r"tem algum",
)
"""What the shop has."""

GOING_BACK: Final = (
    r"(?:vuelv(?:e|a|o|amos)|volv(?:e|er|amos|eme|iendo)|regres(?:a|e|o|emos|ame|ar|ando)|retorn(?:a|emos)|(?:let'?s )?(?:go|going|back)|(?:go|get) back|return|de vuelta|otra vez|volta(?:r|ndo)?)(?: (?:back|con|de nuevo|otra vez))?\s+(?:a|to|al|con|ao|aos|as)\b",
    r"lo (?:de antes|anterior)",
    r"los? de antes",
    r"la busqueda anterior",
    r"the previous (?:ones?|search|results)",
    r"back$",
    r"atras$",
    r"go back$",
    r"regresa$",
    r"vuelve$",
    r"volver$",
)
"""Back to what was spoken of before."""
