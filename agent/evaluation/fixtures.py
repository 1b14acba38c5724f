"""Conversations with what must hold after each turn, as JSON lines. The format is explained in docs/explanation/agent.md."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from schemas.errors import ConfigurationError


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ExpectedLine(_Strict):
    """A line of the order: one of these SKUs, this often."""

    sku_in: Annotated[tuple[str, ...], Field(min_length=1)]
    qty: float


class PickedCard(_Strict):
    """The SKU that the agent itself showed at `rank` (from 1) in turn `turn` (from 1), ordered `qty` times."""

    turn: int = Field(ge=1)
    rank: int = Field(ge=1)
    qty: float


class Expectation(_Strict):
    """What must hold after a turn; what is not given is not looked at."""

    cards_any_of: tuple[str, ...] | None = None
    order: dict[str, float] | None = None
    order_any_of: tuple[tuple[ExpectedLine, ...], ...] | None = None
    order_empty: bool | None = None
    picks_card: PickedCard | None = None
    submitted: bool | None = None
    asks_back: bool | None = None
    no_results: bool | None = None
    llm_bypassed: bool | None = None
    reply_mentions: tuple[str, ...] | None = None
    reply_forbidden: tuple[str, ...] | None = None


class ScriptedTurn(_Strict):
    """What the person says, and what must hold then."""

    user: str
    expect: Expectation


class Conversation(_Strict):
    """One fresh session, its turns in order."""

    id: str
    tenant: str
    tags: tuple[str, ...] = ()
    turns: Annotated[tuple[ScriptedTurn, ...], Field(min_length=1)]


def read_conversations(path: Path) -> tuple[Conversation, ...]:
    """Read a file of conversations.

    Raises:
        ConfigurationError: the file cannot be read, or a line is no conversation; the message names the line.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from error
    found = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            found.append(Conversation.model_validate_json(line))
        except ValidationError as error:
            problem = error.errors(include_url=False)[0]
            place = ".".join(map(str, problem["loc"]))
            raise ConfigurationError(f"{path} line {number}: {place}: {problem['msg']}") from error
    if not found:
        raise ConfigurationError(f"{path} holds no conversation")
    return tuple(found)
