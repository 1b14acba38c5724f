"""What thing a title names: the `disco` of `Disco de corte 4.5" para amoladora`, not the grinder that it is for. Pure.

A title names its thing before it says what it is for or comes with (`para`, `con`, `p/`, `for`), and what stands behind `de` belongs to
the word before it (`mango de martillo` is a handle), unless that only says how it is packed (`juego de brocas` is bits). Spanish
puts the thing first; a single word further on is rather a property of something that no rule knows, an expression of two words is not.

A longer expression names another thing than its first words do (`tubo led`), unless the rest is a material or says of which sort it is
(`tubo pvc` is a `tubo` too).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from retrieval.aliases.compiled import PhraseTrie, compared, slots_of
from retrieval.analysis.pipeline import analyse, placed
from retrieval.analysis.stemming import stem
from retrieval.analysis.tokens import Token, TokenKind

T = TypeVar("T")

_SAYS_FOR_OR_WITH: Final = frozenset({"para", "con", "p/", "c/", "w/", "for", "with", "incluye", "includes"})
_BELONGS: Final = frozenset({"de", "del", "of", "d/"})


def _stems_of(words: str) -> dict[str, str]:
    """Words parted by blanks, by what the analysis leaves of them."""
    return {stem(word): word for word in words.split()}


def _stems(words: str) -> frozenset[str]:
    return frozenset(_stems_of(words))


_PACKED: Final = _stems("juego jgo set kit par caja paquete pack bolsa rollo blister estuche surtido docena box roll x")
MATERIALS: Final = _stems_of(
    "pvc cpvc ppr termofusion galvanizado cobre bronce laton inoxidable aluminio concreto hormigon madera metal vidrio "
    "ceramica drywall"
)
"""What a thing is made of or made for: words as the analysis leaves them, to the words."""
_SORTS: Final = frozenset(MATERIALS) | _stems(
    "hexagonal plano simple doble inalambrico percutor electrico manual profesional liso sds sanitario agua "
    "autoperforante autorroscante vinilico latex acrilico sintetico"
)
_SPARE: Final = _stems("repuesto rpto refaccion recambio spare")
"""What begins so is a part of the thing that it names."""
_SURE: Final = 2
"""Words of an expression that names the thing wherever it stands."""


@dataclass(frozen=True, slots=True)
class _Place:
    """A position of the title: the texts of its tokens, and what stands before it.

    `leads`: nothing but sizes, packing and the brand; `belongs`: a thing and `de`; `beyond`: a thing and what says for or with.
    """

    words: frozenset[str]
    leads: bool
    belongs: bool
    beyond: bool


def things_of(title: str, known: PhraseTrie[T], aside: frozenset[str] = frozenset()) -> tuple[T, ...]:
    """What is filed under the thing that a title names, the most special first; none where none is known.

    `aside`: words, as the analysis leaves them, that may stand before the thing (the brand's).
    """
    places = list(_named_places(title, aside))
    slots: Sequence[frozenset[str]] = [place.words for place in places]
    for start, place in enumerate(places):
        if place.beyond:
            break
        found = [] if place.belongs else known.beginning(slots, start)
        if found and (place.leads or found[-1][0] - start >= _SURE):
            longest = found[-1][0]
            sorts = [values for end, values in reversed(found) if all(slots[n] & _SORTS for n in range(end, longest))]
            return tuple(value for values in sorts for value in values)
    return ()


def is_sort_of(special: Sequence[str], general: Sequence[str]) -> bool:
    """Whether the words of one expression only add a material or a sort to those of the other."""
    return tuple(special[: len(general)]) == tuple(general) and all(word in _SORTS for word in special[len(general) :])


def _named_places(title: str, aside: frozenset[str]) -> Iterator[_Place]:
    """The positions of a title; none of one that begins as a spare part."""
    _, lexemes = placed(title)
    slots = {slot[0].position: slot for slot in slots_of(analyse(title).tokens)}
    before: frozenset[str] = frozenset()
    begun = belongs = beyond = False
    for one in lexemes:
        word = one.lexeme.text.rstrip(".")
        if word in _SAYS_FOR_OR_WITH:
            begun = begun or bool(before & _PACKED)
            beyond = beyond or begun
        belongs = belongs or (begun and word in _BELONGS and not before & _PACKED)
        for position in range(one.first, one.first + one.width):
            slot = slots.get(position)
            if not slot or word in _SAYS_FOR_OR_WITH or word in _BELONGS:
                continue
            before = compared(slot)
            if before & _SPARE and not begun:
                return
            yield _Place(before, not begun, belongs, beyond)
            begun = begun or not (_is_size(slot) or before & _PACKED or before & aside)
            belongs = False


def _is_size(slot: Sequence[Token]) -> bool:
    return any(token.kind in (TokenKind.NUMBER, TokenKind.MEASURE) for token in slot)
