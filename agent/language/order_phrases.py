"""The phrases about the order: into it, out of it, how much of it, and all of it, to be shown or emptied.

A table an intent and a pattern a line, in the forms of eight countries: voseo (`agregame`, `poneme`), tuteo (`agrégame`,
`ponme`), usted (`póngame`, `agrégueme`), bare infinitives, English and the commonest Portuguese; all folded, so accents do
not matter. The first pattern of a table that fits is taken.
"""

from __future__ import annotations

from typing import Final


def any_of(phrases: tuple[str, ...]) -> str:
    """One pattern that fits where one of these does, the earlier ones first."""
    return "(?:" + "|".join(phrases) + ")"


_ME: Final = r"(?:me|nos|le|les|te)?(?:l[oa]s?)?"

ADDING: Final = (
    rf"agreg(?:a|ue|ar|as|amos|uen){_ME}",
    rf"anad(?:e|a|ir|i|es){_ME}",
    rf"adicion(?:a|e|ar){_ME}",
    rf"sum(?:a|e|ar){_ME}",
    rf"pon(?:e|er|ga|gan|es)?{_ME}",
    rf"met(?:e|a|er){_ME}",
    rf"apunt(?:a|e|ar|eme){_ME}",
    rf"anot(?:a|e|ar|eme){_ME}",
    rf"ech(?:a|e|ar|ale){_ME}",
    rf"inclu(?:ye|ya|ir|i){_ME}",
    rf"carg(?:a|ar|ue){_ME}",
    r"tambien (?:dame|deme)",
    r"quiero agregar",
    r"quiero anadir",
    r"i(?:'ll| will) (?:take|have|get)",
    r"add(?: to (?:the|my) (?:order|cart))?",
    r"put(?: me)?(?: down)?",
    r"include",
    r"throw in",
    r"order me",
    r"adicion(?:a|e)r?",
    r"coloc(?:a|ar|ame|ar)",
    r"me (?:pone|pones|agrega|agregas|anota|anotas|apuntas|apunta|sumas)",
    r"me llevo",
    r"llevo",
    r"mete",
)
"""Into the order."""

GIVING: Final = (
    r"d(?:a|e|en)(?:me|nos)(?:l[oa]s?)?",
    rf"mand(?:a|e|ar|eme){_ME}",
    rf"envi(?:a|e|ar){_ME}",
    r"regal(?:a|e|eme)(?:me|nos)?",
    r"vend(?:e|a|eme)(?:me|nos)?",
    r"despach(?:a|e)(?:me|nos)?",
    r"surt(?:e|a)(?:me|nos)?",
    r"apart(?:a|e)(?:me|nos)?",
    r"reserv(?:a|e)(?:me|nos)?",
    r"pas(?:a|e)(?:me|nos)",
    r"tra(?:e|iga)(?:me|nos)",
    r"me (?:das|da|dan|regalas|regala|mandas|manda|vendes|vende|vas a dar|puedes dar|puede dar|podes dar|podrias dar|envias)",
    r"(?:can|could|may) i (?:have|get)",
    r"let me (?:have|get)",
    r"give me",
    r"send me",
    r"get me",
    r"gimme",
    r"me ve",
    r"me da",
    r"facilit(?:a|e)me",
    r"prepar(?:a|e)me",
)
"""Hand it over, which is into the order as well."""

WANTING: Final = (
    r"quiero",
    r"quisiera",
    r"quisieramos",
    r"queremos",
    r"necesito",
    r"necesitamos",
    r"ocupo",
    r"ocupamos",
    r"requiero",
    r"preciso",
    r"me hacen? falta",
    r"me faltan?",
    r"voy a (?:querer|llevar|necesitar|ocupar)",
    r"querria",
    r"i(?:'d| would) like",
    r"i need",
    r"i want",
    r"we need",
    r"we want",
    r"need",
    r"want",
    r"pedir",
    r"comprar",
    r"llevar",
    r"me gustaria",
    r"deseo",
    r"busco comprar",
    r"quero",
    r"gostaria de",
    r"eu quero",
)
"""A wish, without saying that it goes into the order."""

CHANGING: Final = (
    rf"cambi(?:a|e|ar|alo|ala|alos|alas|ame|emos){_ME}",
    rf"modific(?:a|ar|ue){_ME}",
    rf"corrig(?:e|ir|elo){_ME}",
    rf"correg(?:ir|i){_ME}",
    rf"actualiz(?:a|ar|alo|ala){_ME}",
    r"que sean?",
    rf"dej(?:a|e|ar|alo|ala|alos|alas|emos){_ME}",
    rf"sub(?:e|ir|i|elo|ela){_ME}",
    rf"baj(?:a|ar|alo|ala|e){_ME}",
    rf"aument(?:a|ar|alo){_ME}",
    rf"reduc(?:e|ir|i){_ME}",
    r"(?:hace|haz|hac|hag)(?:a|e)?(?:l[oa]s?)",
    r"ser(?:an|ian)?",
    r"change",
    r"replace",
    r"reemplaz(?:a|ar|alo|ala|e)",
    r"remplaz(?:a|alo|ala)",
    r"sustitu(?:ye|yelo|ir|yela)",
    r"troc(?:a|ar)",
    r"make (?:it|that|them)",
    r"update",
    r"set(?: it)?(?: to)?",
    r"switch",
    r"only",
    r"solo",
    r"solamente",
    r"nomas",
    r"mud(?:a|e|ar)",
    r"mejor que sean?",
    r"quise decir",
    r"perdon,?",
    r"correccion",
    r"i meant",
    r"en total",
)
"""Another quantity of what is in the order."""

REMOVING: Final = (
    rf"quit(?:a|e|ar|es){_ME}",
    rf"sac(?:a|ar){_ME}",
    rf"saque{_ME}",
    rf"saqu[eé]{_ME}",
    rf"elimin(?:a|e|ar){_ME}",
    rf"remuev(?:e|a){_ME}",
    rf"remov(?:er|e){_ME}",
    rf"retir(?:a|e|ar){_ME}",
    rf"borr(?:a|e|ar){_ME}",
    rf"descart(?:a|e|ar){_ME}",
    rf"suprim(?:e|a|ir){_ME}",
    rf"cancel(?:a|e|ar){_ME}",
    r"tir(?:a|ar)me",
    r"ya no (?:quiero|necesito|me (?:pongas|des|mandes)|pongas|ponga|va|van|ocupo|llevo)",
    r"no (?:quiero|pongas|ponga|me pongas|necesito|lleves?|me des|llevo|va|van)",
    r"olvid(?:a|ate|e)(?: de)?",
    r"remove",
    r"delete",
    r"drop",
    r"take (?:off|out|away|it out|them out)",
    r"cancel",
    r"scratch",
    r"forget",
    r"lose",
    r"don't want",
    r"no longer (?:want|need)",
    r"get rid of",
    r"tir(?:a|e|ar)",
    r"retir(?:a|e)",
)
"""Out of the order."""

REMOVED_AFTER: Final = (
    r"siempre no",
    r"ya no(?: va| van| los quiero| las quiero| lo quiero| la quiero)?",
    r"no va",
    r"no van",
    r"mejor no",
    r"no(?:,)? gracias",
)
"""After the thing: it is not wanted any more."""

INSTEAD_OF: Final = (
    r"en (?:vez|lugar) de(?:l)?",
    r"instead of",
    r"rather than",
    r"em vez de",
)
"""One thing in the place of another."""


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
