"""Counts against how the shop packs: what the catalogue says of a pack, what does not go with it, and what people are told."""

from decimal import Decimal

import pytest

from agent.conversation.phrases import unit_for
from agent.conversation.products import Product
from agent.tools.packs import PackMismatch, packing_of, selling_quantity
from tests.support.agent.catalogue import MemoryCatalogue, product
from tests.support.agent.session import Session


def packed(title: str = "Tornillo punta broca", unit: str = "UND", **attributes: str) -> Product:
    return product("TOR-1", title, unit=unit, attributes=attributes)


@pytest.mark.parametrize(
    ("given", "size", "text"),
    [
        (packed(unit="Caja x 10"), 10, "Caja x 10"),
        (packed(unit="CTO"), 100, "CTO"),
        (packed(unit="DOC"), 12, "DOC"),
        (packed("Remaches 3.5 x 14 mm x 1000 unid. - Marca"), 1000, "x 1000 unid."),
        (packed("Precinto de 4.8mm x 300mm bolsa/100pz"), 100, "bolsa/100pz"),
        (packed("Tornillo 8 x 1 caja x 500"), 500, "caja x 500"),
        (packed("Grampas 16mm (5000 pcs)"), 5000, "5000 pcs"),
        (packed("Tornillo 8 x 100 mm"), 0, ""),
        (packed("Cemento bolsa x 25 kg"), 0, ""),
        (packed("Yeso bolsa de 25 kilos"), 0, ""),
        (packed("Caja de 4 x 4 galvanizada"), 0, ""),
        (packed("Broca x1 Unidad"), 0, ""),
        (packed("Codo", caja="1050", bolsa="30", medida="3/4"), 0, "caja 1050, bolsa 30"),
    ],
)
def test_what_the_catalogue_says_of_a_pack(given: Product, size: int, text: str) -> None:
    packing = packing_of(given)
    assert (packing.size, packing.text) == (size, text)


@pytest.mark.parametrize(
    ("given", "package", "lot", "mismatch"),
    [
        (packed("Remaches x 100 unid."), "caja", "1000", PackMismatch.SIZE),
        (packed("Remaches x 1000 unid."), "caja", "1000", None),
        (packed(unit="Caja x 10"), "caja", "", None),
        (packed(unit="Caja x 10"), "unidad", "", PackMismatch.SIZE),
        (packed(unit="Caja x 10"), "", "", None),
        (packed(unit="pieza"), "caja", "1000", PackMismatch.UNIT),
        (packed(unit="pieza"), "caja", "", PackMismatch.UNIT),
        (packed(unit="CJA"), "caja", "", None),
        (packed(unit="CJA"), "caja", "1000", PackMismatch.UNSAID),
        (packed(unit=""), "caja", "1000", PackMismatch.UNSAID),
        (packed(unit=""), "caja", "", None),
        (packed(unit="pieza"), "", "docena", None),
        (packed(unit="DOC"), "", "docena", None),
    ],
)
def test_a_count_that_goes_with_the_pack_and_one_that_does_not(
    given: Product, package: str, lot: str, mismatch: PackMismatch | None
) -> None:
    assert selling_quantity(given, Decimal(24), package=package, lot=lot).mismatch is mismatch


async def test_a_box_of_another_size_is_pointed_out_and_the_line_says_what_is_sold() -> None:
    screws = packed("Tornillo punta broca caja x 100", unit="CJA")
    reply = await Session(catalogue=MemoryCatalogue([screws])).say("agrega 2 cajas de 1000 de TOR-1")
    (line,) = reply.order.lines
    assert (line.quantity, line.unit, line.pack) == (2, "CJA", "caja x 100")
    assert "caja x 100" in reply.text.split("Su pedido")[0]
    assert "Ojo" in reply.text


async def test_the_box_that_the_shop_has_is_nothing_to_point_out() -> None:
    screws = packed("Tornillo punta broca caja x 1000", unit="CJA")
    reply = await Session(catalogue=MemoryCatalogue([screws])).say("agrega 2 cajas de 1000 de TOR-1")
    assert reply.order.lines[0].pack == "caja x 1000"
    assert "Ojo" not in reply.text


async def test_a_change_of_quantity_is_checked_too() -> None:
    session = Session(catalogue=MemoryCatalogue([packed(unit="pieza")]))
    await session.say("agrega 5 TOR-1")
    reply = await session.say("que sean 3 cajas")
    assert reply.order.lines[0].quantity == 3
    assert "se vende por pieza" in reply.text


@pytest.mark.parametrize(
    ("quantity", "unit", "written"),
    [
        ("25", "pieza", "piezas"),
        ("1", "pieza", "pieza"),
        ("2", "UNIDAD", "UNIDADES"),
        ("2.5", "Metro", "Metros"),
        ("10", "PIE", "PIES"),
        ("3", "galón", "galones"),
        ("3", "UND", "UND"),
        ("3", "Caja x 10", "Caja x 10"),
        ("3", "", ""),
    ],
)
def test_a_unit_agrees_with_its_number(quantity: str, unit: str, written: str) -> None:
    assert unit_for(Decimal(quantity), unit) == written
