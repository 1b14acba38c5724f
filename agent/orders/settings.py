"""How submitted orders reach the log."""

from pydantic import BaseModel, ConfigDict, Field


class OrderSettings(BaseModel):
    """The topic, and how the relay works through the outbox."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    topic: str = Field("orders.submitted", min_length=1, description="Topic of submitted orders; key = the order's id.")
    publish: bool = Field(True, description="Run the relay in this process; off where another process does it.")
    batch: int = Field(100, ge=1, le=1000, description="Orders that a relay takes at a time.")
    poll_s: float = Field(1.0, gt=0, le=60, description="Pause between looks at an empty outbox; a submission here cuts it short.")  # fmt: skip
    lease_s: float = Field(60.0, ge=5, le=3600, description="How long a relay holds what it took; a dead one's orders wait this long.")  # fmt: skip
    backlog_s: float = Field(
        120.0, ge=1, description="Age of the oldest unpublished order from which readiness says so."
    )
