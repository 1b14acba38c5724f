"""One turn as the agent takes it, from whichever face. What it answers is `schemas.api.chat.TurnReply`."""

import hashlib

from pydantic import BaseModel, ConfigDict, Field

from schemas.api.chat import OrderConfirmation, TurnReply, TurnStep
from schemas.api.limits import TENANT_PATTERN, THREAD_PATTERN

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


def request_digest(turn: TurnRequest) -> str:
    """What a request asks, so that an idempotency key that is used for another request is noticed."""
    return hashlib.sha256(turn.model_dump_json(exclude={"key", "spender"}).encode()).hexdigest()[:32]
