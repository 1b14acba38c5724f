"""The settings of a query worker: one tree, read from the environment under `FERROFLUX_`, sections joined by `__`.

`FERROFLUX_HTTP__PORT=9000`, `FERROFLUX_SEARCH__RRF_K=40`; a section's nested value likewise.
"""

from pathlib import Path

from pydantic import ConfigDict, Field

from retrieval.encoders.settings import EncoderSettings
from retrieval.search.settings import SearchSettings
from retrieval.text.settings import TextIndexSettings
from retrieval.vectors.settings import VectorSettings
from runtime.rights.fetching import FetchSettings
from runtime.rights.settings import AccessSettings, ProcessSettings


class TextSettings(TextIndexSettings):
    """The text replica on this machine, which `ferroflux replica` keeps up to date, and how closely it is followed."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    directory: Path = Field(Path("var/text"), description="Folder of the text index and of the tailer's report.")
    reports: Path | None = Field(
        None,
        description="Folder in which search workers tell the replica which generations they are ready for; unset: `workers` in "
        "`directory`. Name another where workers may only read that one; it must be the same for the replica and its workers.",
    )
    refresh_s: float = Field(0.015, ge=0.001, le=10, description="Seconds between two looks for a newer commit.")
    heartbeat_s: float = Field(5.0, gt=0, description="Age of the tailer's heartbeat from which it counts as stale.")
    freshness_window_s: float = Field(300.0, ge=1, description="Seconds over which freshness is reported.")

    @property
    def reports_folder(self) -> Path:
        """Where the workers' reports lie."""
        return self.reports or self.directory / "workers"

    @property
    def index(self) -> TextIndexSettings:
        """The part of it that opens the index."""
        return TextIndexSettings(directory=self.directory, heap_mb=self.heap_mb, weights=self.weights)


class HttpSettings(AccessSettings):
    """How the API is served and who may call it."""

    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    max_body_bytes: int = Field(65_536, ge=1024, description="Largest request body.")
    max_in_flight: int = Field(
        128,
        ge=1,
        description="Searches a worker holds at a time at most, however quick they are; more are answered 429.",
    )
    answer_within_s: float = Field(
        0.2,
        gt=0,
        le=60,
        description="Seconds within which a search, or a lookup, is to be answered: one that would take longer, by what is in "
        "hand and the measured pace, is answered 429 at once.",
    )
    max_lookups: int = Field(
        256, ge=1, description="Lookups (items, suggestions, analyses, status) a worker holds at a time at most."
    )
    page: bool = Field(True, description="Whether to serve the search page at /.")
    log_query_text: bool = Field(
        True, description="Whether the log line of a query holds its text; off where buyers may type personal data."
    )
    shutdown_s: int = Field(10, ge=1, description="Seconds that running requests get at a stop.")


class ApiSettings(ProcessSettings):
    """All settings of a query worker."""

    vectors: VectorSettings = Field(default_factory=VectorSettings)
    encoder: EncoderSettings = Field(default_factory=EncoderSettings)
    text: TextSettings = Field(default_factory=TextSettings)
    search: SearchSettings = Field(default_factory=SearchSettings)
    http: HttpSettings = Field(default_factory=HttpSettings)
    fetch: FetchSettings = Field(default_factory=FetchSettings)
