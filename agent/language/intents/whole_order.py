"""The order as a whole: to be shown, or to be emptied."""

from __future__ import annotations

from typing import Final

from agent.language.intents.patterns import any_of

_ORDER: Final = r"(?:pedido|orden|carrito|order|cart|lista|compra|carrinho)"
_MY: Final = r"(?:el|la|mi|tu|su|todo el|todo mi|the|my|o|meu|este|nuestro|toda la|whole|entire)?\s*"

_SHOW: Final = (
    r"ver",
    r"ve",
    r"vea",
    r"veamos",
    r"mir(?:a|ar)",
    r"muestr(?:a|e)(?:me)?",
    r"mostr(?:a|ar)(?:me)?",
    r"ensen(?:a|e)(?:me)?",
    r"revis(?:a|ar)(?:me)?",
    r"dime",
    r"decime",
    r"repit(?:e|a|eme)(?:me)?",
    r"repet(?:i|ir)(?:me)?",
    r"list(?:a|ar)(?:me)?",
    r"resum(?:e|en|ir)",
    r"recuerd(?:a|ame)",
    r"como (?:va|quedo|queda|esta|anda)",
    r"que (?:lleva|tiene|hay en|va en)",
    r"cuanto (?:va|es|lleva|suma)",
    r"total de",
    r"mostre",
    r"show(?: me)?",
    r"view",
    r"see",
    r"check",
    r"review",
    r"what'?s (?:in|on)",
    r"display",
    r"quiero ver",
    r"puedo ver",
    r"a ver",
    r"pasame",
    r"resumen (?:de|del)",
)
"""Before the order's name."""

SHOWING: Final = (
    rf"(?:{any_of(_SHOW)}\s+(?:en\s+)?{_MY}{_ORDER})",
    r"que (?:tengo|llevo|tenemos|llevamos|he pedido|pedi|voy llevando|pedimos|hay)(?: (?:pedido|anotado|hasta (?:ahora|ahorita|el momento)|en total|ahi|por ahora|ya))?$",
    r"que (?:tengo|llevo|tenemos|llevamos|hay)\b.*\b(?:pedido|orden|carrito|lista)",
    r"cuant[oa]s?\b.{0,40}\b(?:llevo|tengo|llevamos|tenemos|pedi|he pedido)\b.*",
    r"cuanto (?:va|es|seria|suma|llevo|vamos|sale todo|da|sumaria|queda)(?: (?:todo|el total|en total|mi pedido|el pedido|la cuenta|hasta ahora))?$",
    r"(?:el|la|mi)?\s?(?:total|cuenta|subtotal)(?: (?:del|de mi) pedido)?$",
    r"(?:what|how much|how many).{0,30}\b(?:do i have|i have|so far|in total|is the total|in (?:my|the) (?:order|cart))\b.*",
    r"(?:the )?(?:my )?order so far",
    r"how much is (?:it all|everything|the total)",
    r"what(?:'s| is) (?:the|my) total",
    r"o que (?:eu )?tenho",
    r"meu pedido$",
    r"mi pedido$",
    r"my (?:order|cart)$",
    r"el pedido$",
    r"pedido$",
    r"resumen$",
    r"summary$",
)
"""The order as it stands."""

_EMPTY: Final = (
    r"cancel(?:a|e|ar|en|o|emos)(?:lo|me)?",
    r"borr(?:a|e|ar|emos)(?:lo|me)?",
    r"vaci(?:a|e|ar)(?:lo|me)?",
    r"elimin(?:a|e|ar)(?:lo)?",
    r"limpi(?:a|e|ar)",
    r"anul(?:a|e|ar)",
    r"quit(?:a|e|ar)",
    r"olvid(?:a|ate|e)(?: de)?",
    r"descart(?:a|e|ar)",
    r"desech(?:a|ar)",
    r"cancel",
    r"clear",
    r"empty",
    r"delete",
    r"scrap",
    r"discard",
    r"forget",
    r"drop",
    r"limpa",
    r"esvazia(?:r)?",
    r"cancela",
)
"""Before the order's name, or before all of it."""

CLEARING: Final = (
    rf"{any_of(_EMPTY)}\s+(?:todo|todas?|(?:todo )?(?:el|mi|la|este|o|meu|the|my|whole|entire)?\s*(?:whole |entire )?{_ORDER}(?: (?:completo|entero|completa))?|everything|it all|all of it|all|tudo|todo eso|lo anterior|todo lo (?:anterior|pedido))(?:\s+(?:{_MY}{_ORDER}|completo|lo del pedido))?$",
    r"empe(?:zar|cemos|zemos|za|zamos) (?:de (?:nuevo|cero)|otra vez|desde cero)",
    r"volver a empezar",
    r"start (?:over|again|from scratch)",
    r"borron y cuenta nueva",
    r"ya no quiero nada",
    r"no quiero nada",
    r"ya no voy a (?:comprar|pedir) nada",
    r"cancelar?(?:lo)?$",
    r"cancelalo todo",
    r"dejalo asi,? no quiero nada",
    r"comecar de novo",
)
"""Nothing is to be left of the order."""
