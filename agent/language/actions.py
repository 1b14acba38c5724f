"""The verbs of ordering, in the forms of eight countries: what a clause wants, and what is left of it without them.

Voseo (`agregame`, `poneme`), tuteo (`agrégame`, `ponme`), usted (`póngame`, `agrégueme`), bare infinitives, English and
the commonest Portuguese; all folded, so accents do not matter.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Action(StrEnum):
    """What a clause asks for."""

    ADD = "add"
    WANT = "want"
    """Asks for something without saying that it goes into the order: `necesito un taladro`."""
    CHANGE = "change"
    REMOVE = "remove"
    REPLACE = "replace"
    SHOW = "show"
    CLEAR = "clear"
    PRICE = "price"
    STOCK = "stock"
    SEARCH = "search"
    BACK = "back"
    CHAT = "chat"
    NONE = "none"


_ME: Final = r"(?:me|nos|le|les|te)?(?:l[oa]s?)?"
_ORDER: Final = r"(?:pedido|orden|carrito|order|cart|lista|compra|carrinho)"
_MY: Final = r"(?:el|la|mi|tu|su|todo el|todo mi|the|my|o|meu|este|nuestro|toda la|whole|entire)?\s*"

_ADDING: Final = (
    rf"agreg(?:a|ue|ar|as|amos|uen){_ME}|anad(?:e|a|ir|i|es){_ME}|adicion(?:a|e|ar){_ME}|sum(?:a|e|ar){_ME}"
    rf"|pon(?:e|er|ga|gan|es)?{_ME}|met(?:e|a|er){_ME}|apunt(?:a|e|ar|eme){_ME}|anot(?:a|e|ar|eme){_ME}"
    rf"|ech(?:a|e|ar|ale){_ME}|inclu(?:ye|ya|ir|i){_ME}|carg(?:a|ar|ue){_ME}|tambien (?:dame|deme)|quiero agregar|quiero anadir"
    r"|i(?:'ll| will) (?:take|have|get)|add(?: to (?:the|my) (?:order|cart))?|put(?: me)?(?: down)?|include|throw in|order me"
    r"|adicion(?:a|e)r?|coloc(?:a|ar|ame|ar)|me (?:pone|pones|agrega|agregas|anota|anotas|apuntas|apunta|sumas)|me llevo|llevo|mete"
)
_GIVING: Final = (
    rf"d(?:a|e|en)(?:me|nos)(?:l[oa]s?)?|mand(?:a|e|ar|eme){_ME}|envi(?:a|e|ar){_ME}|regal(?:a|e|eme)(?:me|nos)?|vend(?:e|a|eme)(?:me|nos)?"
    r"|despach(?:a|e)(?:me|nos)?|surt(?:e|a)(?:me|nos)?|apart(?:a|e)(?:me|nos)?|reserv(?:a|e)(?:me|nos)?|pas(?:a|e)(?:me|nos)|tra(?:e|iga)(?:me|nos)"
    r"|me (?:das|da|dan|regalas|regala|mandas|manda|vendes|vende|vas a dar|puedes dar|puede dar|podes dar|podrias dar|envias)"
    r"|(?:can|could|may) i (?:have|get)|let me (?:have|get)|give me|send me|get me|gimme|me ve|me da|facilit(?:a|e)me|prepar(?:a|e)me"
)
_WANTING: Final = (
    r"quiero|quisiera|quisieramos|queremos|necesito|necesitamos|ocupo|ocupamos|requiero|preciso|me hacen? falta|me faltan?|voy a (?:querer|llevar|necesitar|ocupar)|querria"
    r"|i(?:'d| would) like|i need|i want|we need|we want|need|want|pedir|comprar|llevar|me gustaria|deseo|busco comprar|quero|gostaria de|eu quero"
)
_CHANGING: Final = (
    rf"cambi(?:a|e|ar|alo|ala|alos|alas|ame|emos){_ME}|modific(?:a|ar|ue){_ME}|corrig(?:e|ir|elo){_ME}|correg(?:ir|i){_ME}|actualiz(?:a|ar|alo|ala){_ME}"
    rf"|que sean?|dej(?:a|e|ar|alo|ala|alos|alas|emos){_ME}|sub(?:e|ir|i|elo|ela){_ME}|baj(?:a|ar|alo|ala|e){_ME}|aument(?:a|ar|alo){_ME}|reduc(?:e|ir|i){_ME}"
    rf"|(?:hace|haz|hac|hag)(?:a|e)?(?:l[oa]s?)|ser(?:an|ian)?|change|replace|reemplaz(?:a|ar|alo|ala|e)|remplaz(?:a|alo|ala)|sustitu(?:ye|yelo|ir|yela)|troc(?:a|ar)|make (?:it|that|them)|update|set(?: it)?(?: to)?|switch|only|solo|solamente|nomas|mud(?:a|e|ar)"
    r"|mejor que sean?|quise decir|perdon,?|correccion|i meant|en total"
)
_REMOVING: Final = (
    rf"quit(?:a|e|ar|es){_ME}|sac(?:a|ar){_ME}|saque{_ME}|saqu[eé]{_ME}|elimin(?:a|e|ar){_ME}|remuev(?:e|a){_ME}|remov(?:er|e){_ME}|retir(?:a|e|ar){_ME}"
    rf"|borr(?:a|e|ar){_ME}|descart(?:a|e|ar){_ME}|suprim(?:e|a|ir){_ME}|cancel(?:a|e|ar){_ME}|tir(?:a|ar)me|ya no (?:quiero|necesito|me (?:pongas|des|mandes)|pongas|ponga|va|van|ocupo|llevo)"
    r"|no (?:quiero|pongas|ponga|me pongas|necesito|lleves?|me des|llevo|va|van)|olvid(?:a|ate|e)(?: de)?|remove|delete|drop|take (?:off|out|away|it out|them out)|cancel|scratch|forget|lose|don't want|no longer (?:want|need)|get rid of|tir(?:a|e|ar)|retir(?:a|e)"
)
_REMOVED_AFTER: Final = r"(?:siempre no|ya no(?: va| van| los quiero| las quiero| lo quiero| la quiero)?|no va|no van|mejor no|no(?:,)? gracias)"
_INSTEAD: Final = r"en (?:vez|lugar) de(?:l)?|instead of|rather than|em vez de"

_SHOWING: Final = (
    rf"(?:(?:ver|ve|vea|veamos|mir(?:a|ar)|muestr(?:a|e)(?:me)?|mostr(?:a|ar)(?:me)?|ensen(?:a|e)(?:me)?|revis(?:a|ar)(?:me)?|dime|decime|repit(?:e|a|eme)(?:me)?|repet(?:i|ir)(?:me)?"
    rf"|list(?:a|ar)(?:me)?|resum(?:e|en|ir)|recuerd(?:a|ame)|como (?:va|quedo|queda|esta|anda)|que (?:lleva|tiene|hay en|va en)|cuanto (?:va|es|lleva|suma)|total de|mostre|show(?: me)?|view|see|check|review|what'?s (?:in|on)|display|quiero ver|puedo ver|a ver|pasame|resumen (?:de|del))"
    rf"\s+(?:en\s+)?{_MY}{_ORDER})"
    r"|que (?:tengo|llevo|tenemos|llevamos|he pedido|pedi|voy llevando|pedimos|hay)(?: (?:pedido|anotado|hasta (?:ahora|ahorita|el momento)|en total|ahi|por ahora|ya))?$"
    r"|que (?:tengo|llevo|tenemos|llevamos|hay)\b.*\b(?:pedido|orden|carrito|lista)|cuant[oa]s?\b.{0,40}\b(?:llevo|tengo|llevamos|tenemos|pedi|he pedido)\b.*"
    r"|cuanto (?:va|es|seria|suma|llevo|vamos|sale todo|da|sumaria|queda)(?: (?:todo|el total|en total|mi pedido|el pedido|la cuenta|hasta ahora))?$|(?:el|la|mi)?\s?(?:total|cuenta|subtotal)(?: (?:del|de mi) pedido)?$"
    r"|(?:what|how much|how many).{0,30}\b(?:do i have|i have|so far|in total|is the total|in (?:my|the) (?:order|cart))\b.*|(?:the )?(?:my )?order so far|how much is (?:it all|everything|the total)|what(?:'s| is) (?:the|my) total|o que (?:eu )?tenho|meu pedido$|mi pedido$|my (?:order|cart)$|el pedido$|pedido$|resumen$|summary$"
)
_CLEARING: Final = (
    rf"(?:cancel(?:a|e|ar|en|o|emos)(?:lo|me)?|borr(?:a|e|ar|emos)(?:lo|me)?|vaci(?:a|e|ar)(?:lo|me)?|elimin(?:a|e|ar)(?:lo)?|limpi(?:a|e|ar)|anul(?:a|e|ar)|quit(?:a|e|ar)|olvid(?:a|ate|e)(?: de)?|descart(?:a|e|ar)|desech(?:a|ar)|cancel|clear|empty|delete|scrap|discard|forget|drop|limpa|esvazia(?:r)?|cancela)"
    rf"\s+(?:todo|todas?|(?:todo )?(?:el|mi|la|este|o|meu|the|my|whole|entire)?\s*(?:whole |entire )?{_ORDER}(?: (?:completo|entero|completa))?|everything|it all|all of it|all|tudo|todo eso|lo anterior|todo lo (?:anterior|pedido))(?:\s+(?:{_MY}{_ORDER}|completo|lo del pedido))?$"
    r"|empe(?:zar|cemos|zemos|za|zamos) (?:de (?:nuevo|cero)|otra vez|desde cero)|volver a empezar|start (?:over|again|from scratch)|borron y cuenta nueva|ya no quiero nada|no quiero nada|ya no voy a (?:comprar|pedir) nada|cancelar?(?:lo)?$|cancelalo todo|dejalo asi,? no quiero nada|comecar de novo"
)
_PRICING: Final = (
    r"(?:a )?cuant[oa]s? (?:me )?(?:cuestan?|valen?|salen?|es(?:ta|tan)?|costaria|saldria|cobras?|cobran|sale|queda|seria)|a como (?:esta|estan|sale|salen|son|es|tienes|dan|tiene|tenes|me (?:sale|dejas)|das|vendes|lo|la|los|las)?|que (?:precio|valor|costo)s?(?: (?:tienen?|tenes|tienes|es|son|esta))?"
    r"|(?:cual(?: es|es son)? )?(?:el |los |the |me das (?:el )?|dame (?:el )?|deme (?:el )?)?precios? (?:de|del|tiene|por|for|of)|en cuanto (?:sale|salen|esta|estan|lo|la|me|tienes)|how much (?:is|are|does|do|for|would|'s)(?: (?:it|they))?(?: cost)?|what(?:'s| is| are) the (?:price|cost)s?(?: (?:of|for))?|price (?:of|for|on)|cost of|cuesta|cuestan|vale|valen|sale a|cost|cotiza(?:me|r|cion)?(?: de)?|quanto custa|qual o preco|precio$|price$|how much$|cuanto$"
)
_STOCKING: Final = r"(?:hay|tienes?|tenes|tienen|tiene|cuanto|cuanta|queda|have|in) (?:en )?(?:stock|existencias?|inventario|bodega|disponibilidad|disponibles?)|(?:en|de|su|sus) (?:stock|existencias?)(?: de)?|cuant[oa]s? (?:te |les |le )?(?:quedan?|hay|tienes?|tenes|tienen)(?: (?:en (?:stock|existencia)|disponibles?))?|stock (?:de|del|of)|disponibilidad (?:de|del)|how many .{0,40}(?:left|in stock|available|do you have)|(?:is|are) .{0,40}(?:in stock|available)|estan? disponibles?|disponibles?|in stock|tem em estoque|(?:te |les )?quedan?"
_SEARCHING: Final = (
    r"(?:que )?(?:tienes?|tenes|tienen|tiene|tendran?|tendras|tendrias|manejas?|manejan|venden?|vendes|hay|habra|existen?|ofrecen|consigo|consigues)(?: (?:de )?(?:algun[oa]?s?))?|busco|buscame|busc(?:a|ar|ame|o|amos)|ando buscando|estoy buscando|buscando|muestr(?:a|e)(?:me|nos)?|mostr(?:a|ar)(?:me|nos)?|ensen(?:a|e|ar)(?:me|nos)?|quiero ver|dejame ver|a ver|ver|que opciones|opciones de|cuales|que otr[oa]s?|y de|algo (?:para|como)|sirve para|con que"
    r"|do (?:you|u|ya) (?:guys )?(?:have|sell|carry|got|stock)|have you got|you got|got any|looking for|show(?: me)?|search(?: for)?|find(?: me)?|any|what about|how about|(?:is|are) there(?: any)?|which|what (?:kind|types?) of|tem|voces tem|voce tem|procuro|tem algum"
)
_GOING_BACK: Final = (
    r"(?:vuelv(?:e|a|o|amos)|volv(?:e|er|amos|eme|iendo)|regres(?:a|e|o|emos|ame|ar|ando)|retorn(?:a|emos)|(?:let'?s )?(?:go|going|back)|(?:go|get) back|return|de vuelta|otra vez|volta(?:r|ndo)?)(?: (?:back|con|de nuevo|otra vez))?\s+(?:a|to|al|con|ao|aos|as)\b"
    r"|lo (?:de antes|anterior)|los? de antes|la busqueda anterior|the previous (?:ones?|search|results)|back$|atras$|go back$|regresa$|vuelve$|volver$"
)
_CHATTING: Final = r"hola|buenas?(?: (?:dias?|tardes?|noches?))?|buenos dias|buen dia|que tal|saludos|hello|hi|hey|good (?:morning|afternoon|evening)|ola|bom dia|boa tarde|gracias|muchas gracias|mil gracias|thanks|thank you|thx|obrigad[oa]|adios|chao|chau|bye|hasta luego|nos vemos|como (?:estas|esta|andas|te va|va todo|vas)|how are you|what'?s up|quien eres|who are you|eres (?:un )?(?:robot|bot|humano|real)|are you (?:a )?(?:bot|robot|human|real)|cuenta(?:me)? (?:un|otro) chiste|cont(?:a|ame)(?:me)? (?:un|otro) chiste|tell me a joke|chiste|ayuda|help|que (?:puedes|podes|sabes) hacer|what can you do|que hora es|como te llamas|what'?s your name|jaja+|haha+|lol|ok(?:ay)?|vale|perfecto|listo|genial|excelente|great|cool|de nada|nada mas|eso es todo|that'?s (?:all|it)|no,? nada mas|nothing else|por ahora (?:es todo|nada mas)|no gracias|tranquilo"

_LEADING_FILLER: Final = re.compile(
    r"^(?:(?:y|e|o|pero|and|but|also|then|so|che|oye|oiga|oe|hola|buenas?(?: (?:dias|tardes|noches))?|buenos dias|hey|hi|hello|please|por favor|porfa(?:vor|s)?|porfis|bueno|bien|ok(?:ay|is)?|vale|listo|ya|ahora|ahorita|entonces|luego|despues|tambien|ademas|espera(?:te|me)?|wait|no|nop|nel|si|sip|yes|yeah|sure|dale|va|sale|mira|mire|a ver|es que|este|eh|mm+|ah|oh|uy|perdon|disculp(?:a|e)|sorry|actually|mejor|well|mejor dicho|pues|pue|pos|igual|por cierto|me|asi|aja|amigo|amiga|jefe|don|maestro|pana|compa|bro|broder|causa|parce|mano|mae|vecino|joven|seno|senor(?:ita)?|veci|master|papi|mijo|fijate|dime|digame|de una|te|se|le|ah[ií])\b[\s,.!?:;]*)+"
)
_TRAILING_FILLER: Final = re.compile(
    r"(?:[\s,]+(?:por favor|porfa(?:vor|s)?|porfis|please|pls|plz|gracias|thanks|si|no|ya|mejor|tambien|too|also|as well|nada mas|nomas|no mas|eh|che|pues|dale|entonces|hermano|amigo|amiga|jefe|pana|bro|parce|al (?:pedido|carrito)|a (?:la|mi|el) (?:orden|lista|pedido|cuenta)|en (?:el|mi) pedido|(?:to|from|in|on) (?:the|my) (?:order|cart)|del (?:pedido|carrito)|de la (?:orden|lista)|de mi (?:pedido|orden|lista)|ao pedido|instead|porfi|ahi|al tiro|po|pe|pos|nomas pues|pls))+$"
)


@dataclass(frozen=True, slots=True)
class Read:
    """What a clause wants, and the clause without the words that said so."""

    action: Action
    rest: str


_PATTERNS: Final = (
    (Action.CLEAR, re.compile(rf"^(?:{_CLEARING})")),
    (Action.SHOW, re.compile(rf"^(?:{_SHOWING})")),
    (Action.CHAT, re.compile(rf"^(?:{_CHATTING})(?:[\s,.!?]+(?:{_CHATTING}))*$")),
    (Action.BACK, re.compile(rf"^(?:{_GOING_BACK})")),
    (Action.PRICE, re.compile(rf"^(?:{_PRICING})(?=\W|$)")),
    (Action.STOCK, re.compile(rf"^(?:{_STOCKING})(?=\W|$)")),
    (Action.REMOVE, re.compile(rf"^(?:{_REMOVING})(?=\W|$)")),
    (Action.CHANGE, re.compile(rf"^(?:{_CHANGING})(?=\W|$)")),
    (Action.ADD, re.compile(rf"^(?:{_ADDING})(?=\W|$)")),
    (Action.ADD, re.compile(rf"^(?:{_GIVING})(?=\W|$)")),
    (Action.WANT, re.compile(rf"^(?:{_WANTING})(?=\W|$)")),
    (Action.SEARCH, re.compile(rf"^(?:{_SEARCHING})(?=\W|$)")),
)
_INNER: Final = (
    (Action.REMOVE, re.compile(rf"\b{_REMOVED_AFTER}\b")),
    (Action.PRICE, re.compile(rf"\b(?:{_PRICING})(?=\W|$)")),
    (Action.STOCK, re.compile(rf"\b(?:{_STOCKING})(?=\W|$)")),
    (
        Action.CHANGE,
        re.compile(r"\b(?:que sean?|make (?:it|that|them)|dej(?:a|e)l[oa]s? en|cambial[oa]s? a|ponl[ea]s? mejor)\b"),
    ),
    (Action.ADD, re.compile(rf"\b(?:{_ADDING}|{_GIVING})(?=\s)")),
    (Action.REMOVE, re.compile(rf"\b(?:{_REMOVING})$")),
)
STARTS_ACTION: Final = re.compile(
    rf"(?:{_CLEARING}|{_ADDING}|{_GIVING}|{_REMOVING}|{_CHANGING}|{_WANTING}|{_PRICING}|{_GOING_BACK}|{_SEARCHING})(?=\W|$)"
)
REFUSED_AFTER: Final = re.compile(rf"\s+(?:{_REMOVED_AFTER})$")
"""At the end of a clause: the thing before it is not wanted any more."""
INSTEAD: Final = re.compile(rf"\b(?:{_INSTEAD})\b")
BY: Final = re.compile(r"\b(?:por|for|with|con)\b")
_PRONOUN_VERB: Final = re.compile(r"(?:l[oae]s?|se)$")


def strip_fillers(clause: str) -> str:
    """A clause without words that only carry the talk: `bueno`, `che`, `por favor`, `también`; never all of it."""
    text = clause.strip(" ,.;:!?")
    shorter = _LEADING_FILLER.sub("", text).strip(" ,.;:!?")
    return _TRAILING_FILLER.sub("", shorter).strip(" ,.;:!?")


def read_action(clause: str) -> Read:
    """What a folded clause wants. The verb stands first, or inside after a reference (`de ese ponme 5`)."""
    text = strip_fillers(clause)
    if not text:
        return Read(Action.CHAT, "")
    for action, pattern in _PATTERNS:
        found = pattern.match(text)
        if found and not _misread(action, text, found):
            return Read(action, _remainder(action, text, found))
    for action, pattern in _INNER:
        inner = pattern.search(text)
        if inner:
            return Read(action, " ".join((text[: inner.start()] + " " + text[inner.end() :]).split()))
    return Read(Action.NONE, text)


def _remainder(action: Action, text: str, found: re.Match[str]) -> str:
    if action is Action.SHOW:
        return text
    return strip_fillers(text[found.end() :]) if found.end() < len(text) else ""


def _misread(action: Action, text: str, found: re.Match[str]) -> bool:
    """A match that means something else in this place."""
    verb, rest = found[0], text[found.end() :].strip()
    if action is Action.REMOVE and verb.startswith("sac") and verb in {"saco", "sacos"}:
        return True
    if action is Action.ADD and verb in {"carga", "mete"}:
        return not rest
    if action is Action.CHANGE and verb in {"sube", "baja", "ser"} and not rest:
        return True
    if action is Action.STOCK:
        return verb.startswith("cuant") and not re.search(r"\w", rest)
    return (
        action is Action.CHANGE
        and verb in {"solo", "solamente", "only", "nomas"}
        and not re.match(r"\d|un|una|dos|one|two", rest)
    )
