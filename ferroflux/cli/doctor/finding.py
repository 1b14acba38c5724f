"""One finding of the doctor: what was looked at, how it is, and what to do."""

from dataclasses import dataclass
from enum import Enum


class Health(Enum):
    """How something is."""

    GOOD = "ok"
    OPTIONAL = "optional"
    """Missing, and needed only for something that was not asked for."""
    BAD = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """`remedy` is empty where there is nothing to do."""

    subject: str
    health: Health
    detail: str
    remedy: str = ""
