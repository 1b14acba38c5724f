"""What messages want: actions, quantities and corrections, over countries and languages."""

from decimal import Decimal

import pytest

from agent.language.actions import Action, strip_fillers
from agent.language.reading import read_message
from agent.language.references import bare

A = Action


def outline(message: str) -> list[tuple[Action, str, str]]:
    return [
        (request.action, request.text, "" if request.quantity is None else f"{request.quantity.count:g}")
        for request in read_message(message)
        if request.action is not Action.CHAT
    ]


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("ponme 3 martillos", [(A.ADD, "martillos", "3")]),
        ("regáleme 2 brochas, por favor", [(A.ADD, "brochas", "2")]),
        ("agregame 10 tuercas y 20 arandelas", [(A.ADD, "tuercas", "10"), (A.ADD, "arandelas", "20")]),
        ("necesito 20 codos y un taladro", [(A.ADD, "codos", "20"), (A.ADD, "taladro", "1")]),
        ("busco un taladro", [(A.SEARCH, "un taladro", "")]),
        ("un martillo", [(A.WANT, "martillo", "1")]),
        ("treinta y cinco pernos m8x30", [(A.ADD, "pernos m8x30", "35")]),
        ("una docena de la primera", [(A.ADD, "la primera", "12")]),
        ("casco azul, media docena", [(A.ADD, "casco azul", "6")]),
        ("la de pvc c/rosca, 10", [(A.ADD, "la de pvc c/rosca", "10")]),
        ("el segundo, dame 2", [(A.ADD, "el segundo", "2")]),
        ("de ese 2", [(A.ADD, "de ese", "2")]),
        ("the truper one, 2 units", [(A.ADD, "the truper one", "2")]),
        ("add 3 cement and 2 mortar", [(A.ADD, "cement", "3"), (A.ADD, "mortar", "2")]),
        ("dame 20 hojas, mejor 25, y quita las cajas", [(A.ADD, "", "25"), (A.REMOVE, "las cajas", "")]),
        ("cambia la primera linea del pedido a 80", [(A.CHANGE, "la primera linea del pedido", "80")]),
        ("que sean 8", [(A.CHANGE, "", "8")]),
        ("en vez de 6 dame 4", [(A.CHANGE, "", "4")]),
        ("make it 12", [(A.CHANGE, "", "12")]),
        ("la perfacinta siempre no", [(A.REMOVE, "la perfacinta", "")]),
        ("quítale 3", [(A.REMOVE, "", "3")]),
        ("borra todo el pedido", [(A.CLEAR, "", "")]),
        ("a cuánto está la primera?", [(A.PRICE, "la primera", "")]),
        ("need a wheelbarrow please", [(A.WANT, "a wheelbarrow", "")]),
        ("tornillo diablito 2 x 10", [(A.NONE, "tornillo diablito 2 x 10", "")]),
        ("esmalte al agua sat. blanco 1 lt", [(A.NONE, "esmalte al agua sat. blanco 1 lt", "")]),
        ("codo de 3/4 pvc", [(A.NONE, "codo de 3/4 pvc", "")]),
        ("volvamos a los candados", [(A.BACK, "los candados", "")]),
    ],
)
def test_a_message_is_read_as_its_requests(message: str, expected: list[tuple[Action, str, str]]) -> None:
    assert outline(message) == expected


@pytest.mark.parametrize(
    "message", ["que llevo?", "ver mi pedido", "show my order", "cuanto va?", "mostrame el pedido"]
)
def test_the_order_is_asked_for_in_many_ways(message: str) -> None:
    assert outline(message)[0][0] is Action.SHOW


def test_a_pack_that_is_said_is_kept_beside_the_count() -> None:
    (request,) = read_message("agrega 2 cajas de 1000 tornillos")
    assert request.quantity is not None
    assert (request.quantity.count, request.quantity.package, request.quantity.pack_size) == (Decimal(2), "caja", 1000)


def test_fillers_at_the_end_are_taken_off_however_many_there_are():
    assert strip_fillers("dame 3 codos" + ", por favor, gracias ya no mas" * 500) == "dame 3 codos"
    assert strip_fillers("codo ya, z") == "codo ya, z"
    assert strip_fillers("pon 3 a la orden por favor") == "pon 3"


def test_articles_at_the_ends_are_taken_off_however_many_there_are():
    assert bare("de la " * 500 + "tee" + " de la, en" * 500) == "tee"
    assert bare("de la") == ""


def test_what_follows_a_joint_is_looked_at_as_far_as_needed():
    long = "codos de pvc " * 30
    assert outline(f"dame 3 {long}y 5 tees {long}")[1][0] is A.ADD
    assert [text for _, text, _ in outline(f"esmalte sat. blanco {long}")] == [f"esmalte sat. blanco {long}".strip()]
