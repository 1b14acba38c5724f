"""The bounds of every input of the HTTP API, in one place: what a request may hold at most."""

from __future__ import annotations

from typing import Final

MAX_TEXT: Final = 512
"""Characters of a query."""

MAX_LIMIT: Final = 100
"""Hits of one page."""

MAX_OFFSET: Final = 1_000
"""Hits that may be passed over; retrieval is bounded by depth, so later pages are empty anyway."""

MAX_FILTER_VALUES: Final = 50
"""Brands, and categories, that one request may name."""

MAX_FILTER_VALUE: Final = 256
"""Characters of one brand or category."""

MAX_PRICE: Final = 1e12
"""The largest price bound."""

TENANT_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
"""What a tenant's name may be, as in `schemas.identity`."""

THREAD_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
"""What a conversation's name may be."""

MAX_CHANGES: Final = 2_000
"""Change events of one intake request."""

MAX_CHANGES_BYTES: Final = 8 * 1024 * 1024
"""Bytes of one intake request. `ferroflux ingest` sizes its batches by it."""

MAX_CHANGE_BYTES: Final = 900_000
"""Bytes of the JSON of one change event as it goes to the log; Kafka's own default limit for a request is 1 MiB."""

MAX_REPORTED: Final = 20
"""Faults of one request that are named; what follows them is not looked for."""

KEY_PATTERN: Final = r"^[!-~]{1,128}$"
"""What an idempotency key may be."""

MAX_MESSAGE: Final = 20_000
"""Characters of a chat message that are read at all; how many the agent takes is its own limit, and smaller."""

MAX_HELD: Final = 1_000
"""Facets whose version one request asks for."""
