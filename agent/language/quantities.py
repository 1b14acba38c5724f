"""How much of something: a count, and the package or measure that it counts. `2 cajas de 1000`, `100 pies de`, `x 3`.

A number is a quantity where a thing, a package or nothing follows it; before a unit of size, a fraction or an `x` it is
a part of the product's name (`3/4 pvc`, `40 w led`). A measure counts where `de` and a thing follow (`20 metros de
cable`), or where it is all that is said (`100 pies`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from agent.language.numbers import COUNTS, MULTIPLES, read_count
from retrieval.analysis.measures import UNITS

PACKAGES: Final[dict[str, str]] = {
    word: package
    for package, words in {
        "unidad": "unidad unidades unid unids und unds un uds ud u pieza piezas pza pzas pz pzs pcs pc piece pieces each "
        "units unit peca pecas unidade",
        "caja": "caja cajas cajita cajitas cja cj box boxes caixa caixas case cases",
        "bolsa": "bolsa bolsas saco sacos bulto bultos bag bags sack sacks costal costales funda fundas",
        "paquete": "paquete paquetes paq pqt pack packs package packages pacote pacotes blister blisters",
        "rollo": "rollo rollos roll rolls rolo rolos bobina bobinas carrete carretes",
        "tramo": "tramo tramos barra barras vara varas length lengths",
        "hoja": "hoja hojas pliego pliegos plancha planchas placa placas lamina laminas sheet sheets folha folhas",
        "juego": "juego juegos set sets kit kits jgo jogo jogos",
        "lata": "lata latas bote botes can cans tarro tarros tin tins",
        "cubeta": "cubeta cubetas balde baldes tineta tinetas tambor tambores bucket buckets pail pails",
        "cartucho": "cartucho cartuchos cartridge cartridges tubo tubos tube tubes",
        "galon": "galon galones gal gallon gallons",
        "litro": "litro litros lt lts l liter liters litre litres",
        "metro": "metro metros mt mts m meter meters",
        "pie": "pie pies ft feet foot",
        "kilo": "kilo kilos kg kgs kilogramo kilogramos kilogramas",
        "libra": "libra libras lb lbs pound pounds",
        "yarda": "yarda yardas yard yards",
        "atado": "atado atados bundle bundles",
        "quintal": "quintal quintales",
    }.items()
    for word in words.split()
}
"""Word to the package or measure that it names."""

MEASURED: Final = frozenset({"galon", "litro", "metro", "pie", "kilo", "libra", "yarda", "quintal"})
"""Packages that are measures: before a thing without `de` they may be a part of its name."""

_AMBIGUOUS: Final = frozenset({"tramo", "hoja", "cartucho", "juego", "rollo", "lata", "atado"})
"""Packages that are also things to buy: `3 rollos de felpa` are rollers of felt. They stay in the description."""

_OF: Final = frozenset({"de", "del", "of", "da", "do"})
_MORE: Final = frozenset({"mas", "more", "mais", "adicionales", "extra", "otro", "otra", "otros", "otras", "another"})
_TIMES: Final = re.compile(r"(?:x\s?)?(\d{1,6})")
_PACK_SIZE: Final = re.compile(r"\d{2,6}")


@dataclass(frozen=True, slots=True)
class SpokenQuantity:
    """How much: `count` in `package` (empty: of the thing itself).

    `lot` is the word that multiplied (`docena`) and `lots` how many of it; `pack_size` what one package holds where that
    was said (`cajas de 1000`); `more` says that it comes on top of what is in the order already.
    """

    count: Decimal
    package: str = ""
    lot: str = ""
    lots: Decimal = Decimal(0)
    pack_size: int = 0
    more: bool = False
    indefinite: bool = False
    """It was only an article: `un martillo`."""


@dataclass(frozen=True, slots=True)
class Quantified:
    """Words without their quantity, and the quantity if there was one."""

    words: tuple[str, ...]
    quantity: SpokenQuantity | None


def split_quantity(words: tuple[str, ...], *, ordering: bool = False) -> Quantified:
    """Take the quantity off the beginning of these words, else off their end.

    `ordering` says that the words are ordered for certain: only then is `x 3` at their end a quantity, for titles say
    `x 3` of sizes.
    """
    return _leading(words) or _trailing(words, times=ordering) or Quantified(words, None)


def is_only_quantity(words: tuple[str, ...]) -> bool:
    """Whether these words are a quantity and nothing else: `10`, `media docena`, `2 units`, `2 mas`."""
    read = _leading(words)
    return read is not None and not read.words and read.quantity is not None


def _leading(words: tuple[str, ...]) -> Quantified | None:
    more = False
    rest = list(words)
    if rest and rest[0] in _MORE and rest[0] not in {"mas", "more", "mais"}:
        more = True
        if rest[1:] and read_count(rest[1:]):
            rest = rest[1:]
        else:
            return Quantified(tuple(rest[1:]), SpokenQuantity(Decimal(1), more=True)) if _may_stand(rest[1:]) else None
    counted = read_count(rest)
    if counted is None or counted.value <= 0:
        return None
    indefinite = counted.words == 1 and rest[0] in {"un", "una", "uno", "one", "um", "uma"}
    after = rest[counted.words :]
    if after and after[0] in _MORE:
        if indefinite and len(after) > 1:
            return None  # `uno mas grande` compares
        more = True
        after = after[1:]
    package, after, pack_size, took = _package(after, lot=counted.lot, definite=not indefinite)
    if not took and not _may_stand(after):
        return None
    if after and after[0] in _MORE and len(after) == 1:
        more, after = True, after[1:]
    if after and after[0] in _OF and not took:
        after = after[1:]  # `3 de la roja`, `una docena del azul`
    quantity = SpokenQuantity(
        counted.value, package, counted.lot, counted.lots, pack_size, more, indefinite and not took and not more
    )
    return Quantified(tuple(after), quantity)


def _package(after: list[str], *, lot: str, definite: bool) -> tuple[str, list[str], int, bool]:  # noqa: PLR0911 - one return a case reads as the table that it is
    """(package, the words after it, what one holds, whether a package was read)."""
    if not after:
        return "", after, 0, bool(lot)
    package = PACKAGES.get(after[0], "")
    if lot and after[0] in _OF:
        return "", after[1:], 0, True
    if not package:
        return "", after, 0, bool(lot)
    followers = after[1:]
    if not followers or followers[0] in _MORE:
        return package, followers, 0, True
    if followers[0] in _OF:
        if len(followers) > 1 and _PACK_SIZE.fullmatch(followers[1]) and package not in MEASURED:
            return package, _without_of(followers[2:]), int(followers[1]), True
        if package in _AMBIGUOUS and definite is False:
            return "", after, 0, False
        return package, followers[1:], 0, True
    if package in MEASURED or package in _AMBIGUOUS:
        # `2 kg electrodos` counts, `2 kg` at the end of a name was handled above; `3 m cable` counts as well.
        return package, followers, 0, package in MEASURED and len(followers[0]) > 2 and followers[0].isalpha()
    return package, followers, 0, True


def _without_of(words: list[str]) -> list[str]:
    return words[1:] if words and words[0] in _OF else words


def _may_stand(after: list[str]) -> bool:
    """Whether a bare number before these words counts things: nothing, `de`, or a word for a thing follows."""
    if not after:
        return True
    first = after[0]
    if first in _OF:
        return len(after) > 1
    if first in UNITS or first in {"x", "por", "y"} or first.startswith(('"', "'", "/")):
        return False
    return not first[0].isdigit() or (len(first) >= 4 and (len(after) == 1 or any(map(str.isalpha, first))))


def _trailing(words: tuple[str, ...], *, times: bool) -> Quantified | None:
    """`casco azul 3 unidades`, `codo pvc x 10`, `ese, 2`: the package, `x` or a reference makes the number a count."""
    if len(words) < 2:
        return None
    for start in range(max(1, len(words) - 4), len(words)):
        tail = list(words[start:])
        marked = times and tail[0] in {"x", "por"} and len(tail) == 2 and not words[start - 1][0].isdigit()
        counted = read_count(tail[1:] if marked else tail)
        if counted is None or (counted.words != len(tail) - marked and not _is_package_tail(tail[counted.words :])):
            continue
        package = PACKAGES.get(tail[-1], "") if counted.words < len(tail) and not marked else ""
        is_counting = bool(counted.lot) or (package and package not in MEASURED)
        if marked or is_counting:
            more = "mas" in tail
            return Quantified(
                words[:start], SpokenQuantity(counted.value, package, counted.lot, counted.lots, more=more)
            )
    return None


def _is_package_tail(tail: list[str]) -> bool:
    return (len(tail) == 1 and tail[0] in PACKAGES) or tail in (["mas"], ["more"])


def is_count_word(word: str) -> bool:
    """Whether this word begins a count."""
    return word in COUNTS or word in MULTIPLES or bool(_TIMES.fullmatch(word))
