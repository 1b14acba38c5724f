"""Which first turns need no planner: one token, or something shaped like a SKU. Search alone answers those, at once."""

from __future__ import annotations

import re
from typing import Final

from agent.language.actions import Action, read_action
from retrieval.analysis.folding import fold

_CODE_APART: Final = re.compile(r"[A-Za-z]{1,5} \d[\w./-]{2,30}")
"""A code in two words: letters, then what begins with a digit."""


def is_bypassed(message: str, turn: int) -> bool:
    """Whether this turn goes past every planner: the first one, and a single token or a code."""
    words = message.split()
    return turn == 1 and (len(words) == 1 or (len(words) == 2 and bool(_CODE_APART.fullmatch(" ".join(words)))))


def needs_search(message: str) -> bool:
    """Whether a bypassed message names something to look for; a greeting or a lone "confirmo" does not."""
    return read_action(fold(message)).action is Action.NONE
