"""The bounds of a conversation: nothing that a person, a product or a model sends makes a turn or a state grow for ever."""

from typing import Final

from pydantic import BaseModel, ConfigDict, Field

LARGEST_ORDER_BYTES: Final = 4 * 1024 * 1024
"""What an order's record may have at most: half of what a record of any topic of ours may have."""

RECORD_ROOM: Final = 1_024
"""Bytes that a topic's limit counts beside an order's own: key, header, and the batch around them."""


class AgentLimits(BaseModel):
    """Defaults that no reseller meets in earnest."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    message_characters: int = Field(
        2_000, ge=1, le=20_000, description="Characters of one message, as it is and folded; a longer one is refused."
    )
    turns: int = Field(500, ge=1, le=100_000, description="Turns of one thread; then a new one has to be begun.")
    threads: int = Field(100_000, ge=1, description="Living conversations of one tenant; then none can be begun.")
    order_lines: int = Field(200, ge=1, le=1_000, description="Lines of one order.")
    order_bytes: int = Field(
        900_000,
        ge=10_000,
        le=LARGEST_ORDER_BYTES,
        description="Bytes of one order's record; a smaller `max.message.bytes` of the orders topic counts in its place.",
    )
    line_quantity: int = Field(100_000, ge=1, le=10**9, description="Largest quantity of one line.")
    steps: int = Field(6, ge=2, le=30, description="Times that a planner is asked within one turn.")
    tool_calls: int = Field(24, ge=1, le=200, description="Tool calls of one turn.")
    cards: int = Field(5, ge=1, le=20, description="Cards that one reply shows.")
    kept_messages: int = Field(40, ge=2, le=1_000, description="Messages that the state keeps; older ones are let go.")
    kept_shown: int = Field(12, ge=1, le=100, description="Turns whose cards the state keeps.")
    hints: int = Field(12, ge=0, le=100, description="Words of the catalogue that a model is given on a first turn.")


class OrderSizeLimit:
    """How large an order may become: the setting, or less where the orders topic takes less.

    The agent takes orders while the log is away, so it begins with the setting and follows the topic once that is known.
    """

    def __init__(self, wanted: int) -> None:
        self.wanted = wanted
        self._carried: int | None = None

    @property
    def bytes(self) -> int:
        """Bytes of an order's record, when a line is added to it."""
        return min(self.wanted, self.carried)

    @property
    def carried(self) -> int:
        """Bytes of an order's record that the topic takes, as far as that is known."""
        return LARGEST_ORDER_BYTES if self._carried is None else self._carried

    def follow(self, topic_bytes: int) -> bool:
        """Take note of the topic's `max.message.bytes`; returns whether it has room for what the setting wants."""
        self._carried = max(0, topic_bytes - RECORD_ROOM)
        return self._carried >= self.wanted
