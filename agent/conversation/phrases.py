"""The agent's sentences, one table a language, and its units and amounts. Portuguese speakers are answered in Portuguese, all others in Spanish or English."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Final

from retrieval.analysis.folding import fold

Say = Callable[..., str]
"""A sentence by its key, its blanks filled, in the language of the conversation."""

_ES: Final = {
    "welcome": "Hola, dígame qué producto busca o qué quiere pedir.",
    "small_talk": "Con gusto le ayudo con su pedido. ¿Qué producto busca?",
    "thanks": "A la orden.",
    "refused": "No puedo hacer eso: los precios salen del catálogo y un pedido solo se envía cuando usted lo confirma.",
    "found": "Encontré:",
    "not_found": "No tenemos eso en el catálogo.",
    "not_found_named": "No tenemos «{what}» en el catálogo.",
    "weak": "Lo más parecido que hay, aunque no es lo mismo:",
    "which": "¿Cuál de estos?",
    "which_product": "¿De qué producto? Dígame cuál busca.",
    "open_named": "Queda por elegir «{what}»: dígamelo aparte y se lo muestro.",
    "open": "Queda por elegir otra parte de lo que pidió: dígamela aparte y se la muestro.",
    "rank_unknown": "No veo esa opción en la lista. ¿Cuál es?",
    "added": "Agregado: {quantity} {unit} x {title}.",
    "updated": "Cambiado: {title}, ahora {quantity} {unit}.",
    "removed": "Quitado: {title}.",
    "not_in_order": "Eso no está en su pedido.",
    "cleared": "Pedido cancelado; no queda nada en él.",
    "empty_order": "Su pedido está vacío. ¿Qué desea pedir?",
    "submitted": "Pedido {order} enviado. Total: {total}. Gracias.",
    "confirm_changed": "El pedido cambió desde que se lo mostré; revíselo, por favor.",
    "confirm_again": "Este es su pedido.",
    "confirm_question": "¿Confirma el pedido? Escriba «confirmo» para enviarlo.",
    "order": "Su pedido:",
    "total": "Total: {total}",
    "unpriced": "({count} sin precio, a consultar)",
    "no_price": "precio a consultar",
    "stock": "existencia: {stock}",
    "out_of_stock": "sin existencia",
    "price_of": "{title}: {price}.",
    "converted": "({said} convertidos a la unidad de venta)",
    "price_up": "subió desde {before}",
    "price_down": "bajó desde {before}",
    "price_unknown": "precio a consultar",
    "short_stock": "solo hay {stock}",
    "pack_size": "Ojo con el empaque: en el catálogo es «{pack}»; revise la cantidad.",
    "pack_unit": "Ojo: se vende por {unit}, y así se cuenta la cantidad; revísela.",
    "pack_unsaid": "El catálogo no dice cuántas piezas trae; revise la cantidad.",
    "quantity_invalid": "Esa cantidad no es válida: dígame cuánto quiere, con un número mayor que 0.",
    "quantity_too_small": "Esa cantidad es demasiado pequeña: la menor es {smallest}. ¿Cuánto quiere?",
    "quantity_too_large": "Esa cantidad es demasiado grande: el máximo por línea es {largest}.",
    "too_many_lines": "El pedido ya tiene el máximo de {largest} líneas: confírmelo y pida lo demás en otro.",
    "order_too_large": "Ya no cabe más en este pedido: confírmelo y pida lo demás en otro, o quite algo.",
    "lines_dropped": "Quité de su pedido lo que tenía una cantidad que no es válida; revíselo, por favor.",
    "turn_failed": "Disculpe, no pude responder a ese mensaje. Escríbalo de otra manera, o escriba «ver mi pedido» para ver cómo está.",
    "turn_begun_anew": "Disculpe, no puedo seguir con lo anterior: empecemos un pedido nuevo. ¿Qué producto busca?",
    "turn_lost": "Disculpe, no pude terminar su mensaje anterior; si todavía lo quiere, escríbalo de nuevo.",
    "answered_before": "Este mensaje ya fue respondido; escriba «ver mi pedido» para ver cómo está.",
    "state_lost": "Disculpe, perdí parte de nuestra conversación; revise su pedido, por favor.",
    "failed": "No pude hacer eso. ¿Me lo dice de otra manera?",
    "how_many": "¿Cuántos?",
    "stopped": "Pidió mucho de una vez; esto es lo que alcancé a hacer.",
    "nothing_beyond": "No encuentro otro así.",
    "in_order": "Lleva {quantity} {unit} de {title}.",
}
_EN: Final = {
    "welcome": "Hello! Tell me which product you are looking for, or what you want to order.",
    "small_talk": "Happy to help with your order. Which product are you looking for?",
    "thanks": "You're welcome.",
    "refused": "I can't do that: prices come from the catalogue, and an order is sent only when you confirm it.",
    "found": "I found:",
    "not_found": "We don't have that in the catalogue.",
    "not_found_named": "We don't have “{what}” in the catalogue.",
    "weak": "The nearest we have, though it is not the same:",
    "which": "Which of these?",
    "which_product": "Of which product? Tell me what you are looking for.",
    "open_named": "Still to be chosen: “{what}”. Ask for it by itself and I will show you.",
    "open": "Another part of what you asked for is still to be chosen: ask for it by itself and I will show you.",
    "rank_unknown": "I don't see that option in the list. Which one is it?",
    "added": "Added: {quantity} {unit} x {title}.",
    "updated": "Changed: {title}, now {quantity} {unit}.",
    "removed": "Removed: {title}.",
    "not_in_order": "That is not in your order.",
    "cleared": "Order cancelled; nothing is left in it.",
    "empty_order": "Your order is empty. What would you like to order?",
    "submitted": "Order {order} sent. Total: {total}. Thank you.",
    "confirm_changed": "The order changed since I showed it; please look at it again.",
    "confirm_again": "This is your order.",
    "confirm_question": "Do you confirm the order? Write “confirm” to send it.",
    "order": "Your order:",
    "total": "Total: {total}",
    "unpriced": "({count} without a price, to be quoted)",
    "no_price": "price on request",
    "stock": "in stock: {stock}",
    "out_of_stock": "out of stock",
    "price_of": "{title}: {price}.",
    "converted": "({said} converted to the selling unit)",
    "price_up": "up from {before}",
    "price_down": "down from {before}",
    "price_unknown": "price on request",
    "short_stock": "only {stock} in stock",
    "pack_size": "Mind the packing: the catalogue has it as “{pack}”; please check the quantity.",
    "pack_unit": "Note: it is sold by {unit}, and that is what the quantity counts; please check it.",
    "pack_unsaid": "The catalogue does not say how many pieces one holds; please check the quantity.",
    "quantity_invalid": "That quantity is not valid: tell me how many you want, as a number above 0.",
    "quantity_too_small": "That quantity is too small: the smallest is {smallest}. How much do you want?",
    "quantity_too_large": "That quantity is too large: a line holds {largest} at most.",
    "too_many_lines": "The order has its maximum of {largest} lines: confirm it and order the rest in another one.",
    "order_too_large": "This order is full: confirm it and order the rest in another one, or remove something.",
    "lines_dropped": "I took out of your order what had a quantity that is not valid; please look at it again.",
    "turn_failed": "Sorry, I could not answer that message. Put it another way, or write “show my order” to see how it stands.",
    "turn_begun_anew": "Sorry, I cannot go on from where we were: let us begin a new order. Which product are you looking for?",
    "turn_lost": "Sorry, I could not finish your message before this one; if you still want it, write it again.",
    "answered_before": "This message was answered already; write “show my order” to see how it stands.",
    "state_lost": "Sorry, I lost part of our conversation; please look at your order again.",
    "failed": "I could not do that. Could you put it another way?",
    "how_many": "How many?",
    "stopped": "That was a lot at once; this is how far I got.",
    "nothing_beyond": "I don't find another one like that.",
    "in_order": "You have {quantity} {unit} of {title}.",
}
_PT: Final = {
    **_ES,
    "welcome": "Olá! Diga qual produto procura ou o que quer pedir.",
    "small_talk": "Com prazer ajudo com o seu pedido. Qual produto procura?",
    "thanks": "De nada.",
    "refused": "Não posso fazer isso: os preços vêm do catálogo e um pedido só é enviado quando você confirma.",
    "found": "Encontrei:",
    "not_found": "Não temos isso no catálogo.",
    "not_found_named": "Não temos “{what}” no catálogo.",
    "weak": "O mais parecido que temos, embora não seja o mesmo:",
    "which": "Qual destes?",
    "which_product": "De qual produto? Diga o que procura.",
    "open_named": "Falta escolher “{what}”: peça separadamente e eu mostro.",
    "open": "Falta escolher outra parte do que pediu: peça separadamente e eu mostro.",
    "rank_unknown": "Não vejo essa opção na lista. Qual é?",
    "added": "Adicionado: {quantity} {unit} x {title}.",
    "updated": "Alterado: {title}, agora {quantity} {unit}.",
    "removed": "Removido: {title}.",
    "not_in_order": "Isso não está no seu pedido.",
    "cleared": "Pedido cancelado; não ficou nada nele.",
    "empty_order": "Seu pedido está vazio. O que deseja pedir?",
    "submitted": "Pedido {order} enviado. Total: {total}. Obrigado.",
    "confirm_changed": "O pedido mudou desde que o mostrei; veja de novo, por favor.",
    "confirm_again": "Este é o seu pedido.",
    "confirm_question": "Confirma o pedido? Escreva “confirmo” para enviar.",
    "order": "Seu pedido:",
    "unpriced": "({count} sem preço, a consultar)",
    "no_price": "preço a consultar",
    "price_unknown": "preço a consultar",
    "pack_size": "Atenção à embalagem: no catálogo é “{pack}”; confira a quantidade.",
    "pack_unit": "Atenção: é vendido por {unit}, e é isso que a quantidade conta; confira.",
    "pack_unsaid": "O catálogo não diz quantas peças vêm; confira a quantidade.",
    "quantity_invalid": "Essa quantidade não é válida: diga quanto quer, com um número maior que 0.",
    "quantity_too_small": "Essa quantidade é pequena demais: a menor é {smallest}. Quanto quer?",
    "quantity_too_large": "Essa quantidade é grande demais: o máximo por linha é {largest}.",
    "too_many_lines": "O pedido já tem o máximo de {largest} linhas: confirme e peça o resto em outro.",
    "order_too_large": "Não cabe mais neste pedido: confirme e peça o resto em outro, ou retire algo.",
    "lines_dropped": "Retirei do seu pedido o que tinha uma quantidade que não é válida; veja de novo, por favor.",
    "turn_failed": "Desculpe, não consegui responder a essa mensagem. Escreva de outra forma, ou escreva “ver meu pedido” para ver como está.",
    "turn_begun_anew": "Desculpe, não posso continuar de onde estávamos: vamos começar um pedido novo. Qual produto procura?",
    "turn_lost": "Desculpe, não consegui terminar a sua mensagem anterior; se ainda quiser, escreva de novo.",
    "answered_before": "Esta mensagem já foi respondida; escreva “ver meu pedido” para ver como está.",
    "state_lost": "Desculpe, perdi parte da nossa conversa; veja o seu pedido de novo, por favor.",
    "failed": "Não consegui fazer isso. Pode dizer de outra forma?",
    "how_many": "Quantos?",
    "in_order": "Você tem {quantity} {unit} de {title}.",
}
PHRASES: Final[Mapping[str, Mapping[str, str]]] = {"es": _ES, "en": _EN, "pt": _PT}


_IN_PAIRS: Final = (
    "pieza piezas unidad unidades caja cajas bolsa bolsas saco sacos bulto bultos paquete paquetes rollo rollos tramo "
    "tramos barra barras hoja hojas plancha planchas lamina láminas juego juegos lata latas bote botes cubeta cubetas "
    "balde baldes cartucho cartuchos tubo tubos galon galones litro litros metro metros pie pies kilo kilos kilogramo "
    "kilogramos libra libras yarda yardas atado atados par pares docena docenas ciento cientos millar millares bobina "
    "bobinas carrete carretes piece pieces box boxes bag bags pack packs roll rolls sheet sheets set sets can cans "
    "bucket buckets gallon gallons meter meters foot feet pair pairs dozen dozens"
)
_PLURALS: Final[Mapping[str, str]] = dict(zip(_IN_PAIRS.split()[::2], _IN_PAIRS.split()[1::2], strict=True))
"""Folded singular to plural."""


def phrase(language: str, key: str, **values: object) -> str:
    """A sentence in that language, its blanks filled."""
    text = PHRASES.get(language, _ES)[key].format(**values)
    return " ".join(text.split())


def money(amount: Decimal, currency: str) -> str:
    """An amount to the cent, without thousands separators, which countries write in opposite ways."""
    return f"{currency + ' ' if currency else '$'}{amount:.2f}"


def unit_for(quantity: Decimal, unit: str) -> str:
    """The unit beside this quantity, in the letters' case in which the tenant writes it."""
    plural = _PLURALS.get(fold(unit))
    if plural is None or quantity == 1:
        return unit
    if unit.isupper():
        return plural.upper()
    return plural.capitalize() if unit[:1].isupper() else plural
