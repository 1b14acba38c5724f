"""What the chat API takes. What it gives is `agent.conversation.turn.TurnReply` and `schemas.api.orders`."""

import re
import uuid
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from agent.conversation.turn import THREAD_PATTERN, OrderConfirmation, TurnReply, TurnRequest
from schemas.api.limits import TENANT_PATTERN
from schemas.api.orders import OrderView

MAX_MESSAGE: Final = 20_000
"""Characters that are read at all; how many the agent takes is its own limit, and smaller."""

KEY_PATTERN: Final = r"^[!-~]{1,128}$"
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


def _storable(text: str) -> str:
    if _UNPRINTABLE.search(text):
        raise ValueError("it holds control characters, which no message has")
    return text


Tenant = Annotated[str, Field(pattern=TENANT_PATTERN, description="The shop.")]
Thread = Annotated[str, Field(pattern=THREAD_PATTERN, description="The conversation: letters, digits, `.`, `_`, `-`.")]
Text = Annotated[str, AfterValidator(_storable)]


class ChatRequest(BaseModel):
    """One message. Without a thread a new conversation begins; its name is in the reply."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        json_schema_extra={"examples": [{"tenant": "norte", "message": "20 codos de pvc de 1/2"}]},
    )

    tenant: Tenant
    thread: Thread = Field(default_factory=lambda: uuid.uuid4().hex)
    message: Text = Field("", max_length=MAX_MESSAGE)
    locale: str = Field(
        "", max_length=16, pattern=r"^[A-Za-z0-9_-]*$", description="`es-MX`; empty: told from the text."
    )
    customer: Text = Field("", max_length=128, description="Who is ordering, in the caller's own terms.")
    confirm: OrderConfirmation | None = Field(None, description="The confirm button, in place of a message.")

    def to_turn(self, key: str) -> TurnRequest:
        """The turn that the agent takes."""
        return TurnRequest(
            tenant=self.tenant,
            thread=self.thread,
            message=self.message,
            locale=self.locale,
            key=key,
            customer=self.customer,
            confirm=self.confirm,
        )


class ConfirmRequest(BaseModel):
    """The confirmation of an order as it was shown."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tenant: Tenant
    digest: str = Field(
        "",
        max_length=64,
        description="The order's digest as it was shown; empty: as it was last shown, whatever that was.",
    )


class Confirmed(BaseModel):
    """The submitted order; `first` says whether this very call submitted it."""

    model_config = ConfigDict(frozen=True)

    order: OrderView
    first: bool
    reply: TurnReply | None = Field(
        None, description="What the conversation says to it; null where it was submitted before."
    )


class Deleted(BaseModel):
    """How many conversations were deleted."""

    model_config = ConfigDict(frozen=True)

    threads: int
