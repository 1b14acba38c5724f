"""The bounds of a conversation: nothing that a person, a product or a model sends makes a turn or a state grow for ever."""

from pydantic import BaseModel, ConfigDict, Field


class AgentLimits(BaseModel):
    """Defaults that no reseller meets in earnest."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    message_characters: int = Field(
        2_000, ge=1, le=20_000, description="Characters of one message; a longer one is refused."
    )
    turns: int = Field(500, ge=1, le=100_000, description="Turns of one thread; then a new one has to be begun.")
    order_lines: int = Field(200, ge=1, le=1_000, description="Lines of one order.")
    line_quantity: int = Field(100_000, ge=1, le=10**9, description="Largest quantity of one line.")
    steps: int = Field(6, ge=2, le=30, description="Times that a planner is asked within one turn.")
    tool_calls: int = Field(24, ge=1, le=200, description="Tool calls of one turn.")
    cards: int = Field(5, ge=1, le=20, description="Cards that one reply shows.")
    kept_messages: int = Field(40, ge=2, le=1_000, description="Messages that the state keeps; older ones are let go.")
    kept_shown: int = Field(12, ge=1, le=100, description="Turns whose cards the state keeps.")
    hints: int = Field(12, ge=0, le=100, description="Words of the catalogue that a model is given on a first turn.")
