"""One turn as the agent takes it, from whichever face, and the one rule of idempotency keys.

A key belongs to one request of one conversation. It is looked up in the turn log, before anybody waits for the
conversation, and in the conversation's state, which holds the key of a turn that ended and was not logged.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict, Field

from agent.conversation.recovery import last_reply
from agent.errors import ReusedKeyError
from schemas.api.chat import OrderConfirmation, TurnReply, TurnStep
from schemas.api.limits import TENANT_PATTERN, THREAD_PATTERN
from schemas.identity import TenantId

TurnEvent = TurnStep | TurnReply
"""What a running turn gives: its steps, each as it ends, and the reply at last."""


class TurnRequest(BaseModel):
    """One message of one conversation. With `confirm` the message may be empty: it is the button that speaks."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tenant: str = Field(pattern=TENANT_PATTERN)
    thread: str = Field(pattern=THREAD_PATTERN)
    message: str = ""
    locale: str = Field(
        "", max_length=16, pattern=r"^[A-Za-z0-9_-]*$", description="`es-MX`; empty: told from the text."
    )
    key: str = Field("", max_length=128, description="Idempotency key: the same key gets the same reply.")
    customer: str = Field("", max_length=128)
    confirm: OrderConfirmation | None = None
    spender: str = Field(
        "", max_length=64, description="What stands for the address that models' spending is counted for."
    )


class AnsweredTurn(Protocol):
    """A turn that was answered under a key."""

    @property
    def request_digest(self) -> str:
        """`request_digest` of what was asked."""
        ...

    @property
    def reply(self) -> TurnReply:
        """What was answered."""
        ...


class AnsweredTurns(Protocol):
    """The turns by their keys: `agent.threads.log.TurnLog`."""

    async def by_key(self, tenant: TenantId, thread: str, key: str) -> AnsweredTurn | None:
        """The turn that was answered under this key."""
        ...


def request_digest(turn: TurnRequest) -> str:
    """What a request asks, so that a key that is used for another request is noticed."""
    return hashlib.sha256(turn.model_dump_json(exclude={"key", "spender"}).encode()).hexdigest()[:32]


async def logged_answer(turns: AnsweredTurns, request: TurnRequest) -> TurnReply | None:
    """The reply that the log has for the request's key.

    Raises:
        ReusedKeyError: it is that of another request.
    """
    if not request.key:
        return None
    before = await turns.by_key(TenantId(request.tenant), request.thread, request.key)
    if before is None:
        return None
    if before.request_digest != request_digest(request):
        raise ReusedKeyError
    return before.reply


def last_answer(state: Mapping[str, Any], request: TurnRequest) -> TurnReply | None:
    """The reply of the conversation's last turn, where that had the request's key.

    Raises:
        ReusedKeyError: the last turn had it, and was of another message.
    """
    last = last_reply(state) if request.key else None
    if last is None or last[0] != request.key:
        return None
    said = [message["text"] for message in state.get("messages", ()) if message["role"] == "user"]
    if said and not request.confirm and said[-1] != request.message.strip():
        raise ReusedKeyError
    return last[1]
