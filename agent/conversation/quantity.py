"""How much of a product: the one place where a number that a person, a model or an old state gives becomes a quantity.

The rule: above 0, rounded half up to a thousandth, at most what a line holds. A number that would round to 0 is refused,
not stored, since an order of nothing can be neither shown nor submitted; so is what is no number at all.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from enum import StrEnum
from typing import Final

from schemas.errors import InvalidRequestError

SMALLEST: Final = Decimal("0.001")
"""A quantity's step: a gram of what is sold by the kilo, a millimetre of what is sold by the metre."""

LARGEST: Final = 10**9
"""What no setting goes beyond: with a price of at most 10^12 a line's amount stays exact in 28 digits."""

_LONGEST_TEXT: Final = 60
"""Characters of a number's text; a longer one is no quantity, and is not even read."""


class Fault(StrEnum):
    """Why a number is no quantity: the stable word that a refused tool call gives."""

    INVALID = "invalid_quantity"
    """No number, not finite, or not above 0."""
    TOO_SMALL = "quantity_too_small"
    """It would round to 0."""
    TOO_LARGE = "quantity_too_large"


class QuantityError(InvalidRequestError):
    """This is no quantity. Give a number above 0, of at most three decimals and not beyond what a line holds."""

    code = "invalid_quantity"

    def __init__(self, fault: Fault) -> None:
        super().__init__()
        self.fault = fault


def quantity_of(given: object, *, largest: int = LARGEST) -> Decimal:
    """The quantity that a number, or a number's text, stands for, without zeros behind its decimals.

    Raises:
        QuantityError: it stands for none; `fault` says why.
    """
    number = read_number(given)
    if number is None or not number.is_finite() or number <= 0:
        raise QuantityError(Fault.INVALID)
    # Compared before it is rounded: rounding a number of a thousand digits is an error of its own.
    if number > largest:
        raise QuantityError(Fault.TOO_LARGE)
    rounded = number.quantize(SMALLEST, rounding=ROUND_HALF_UP)
    if rounded == 0:
        raise QuantityError(Fault.TOO_SMALL)
    if rounded > largest:
        raise QuantityError(Fault.TOO_LARGE)
    return rounded.normalize()


def is_nothing(given: object) -> bool:
    """Whether this is a number, and the number 0: what takes a line out of an order."""
    number = read_number(given)
    return number is not None and number.is_finite() and number == 0


def read_number(given: object) -> Decimal | None:
    """The number that is given, or whose text is; it may be infinite, or none (NaN). None for what is no number."""
    if isinstance(given, bool) or not isinstance(given, int | float | str | Decimal):
        return None
    if isinstance(given, str) and len(given) > _LONGEST_TEXT:
        return None
    try:
        # A float by its shortest text, which is what was written: 0.1 is a tenth.
        return Decimal(repr(given) if isinstance(given, float) else given)
    except InvalidOperation:
        return None
