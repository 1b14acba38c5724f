"""How the chat API is served, and who may call it."""

from pydantic import Field

from runtime.rights.settings import AccessSettings


class AgentHttpSettings(AccessSettings):
    """Address, bounds and keys."""

    port: int = Field(8090, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    max_body_bytes: int = Field(65_536, ge=1024, description="Largest request body.")
    max_in_flight: int = Field(
        64, ge=1, description="Turns that a process holds at a time, streams included; more are answered 429."
    )
    turn_s: float = Field(60.0, gt=0, le=600, description="Longest time of a turn.")
    page: bool = Field(True, description="Whether to serve the chat page at /chat.")
    shutdown_s: int = Field(15, ge=1, description="Seconds that running turns get at a stop.")
