"""Logging of our processes: JSON lines on standard error for machines, short coloured ones for a terminal.

Whoever logs an address takes its password out; a library that quotes one does not. So every line goes through the redaction
twice: member by member, while a name still says what its value is, and once more as it is written, traceback included.
"""

import logging
import os
import sys
from typing import Any, Final

import structlog

from runtime.observability.redaction import known_secrets, redacted, redacted_value, without

# Without local variables: settings with keys, and bodies of customers, pass through ours. And a value of ours may be
# megabytes, nested hundreds deep: to print one took minutes of the loop that met it. And what a library's
# object does when it is asked for its representation (Tantivy's documents panic) is not ours to risk.
_TRACEBACKS: Final = structlog.processors.ExceptionRenderer(
    structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
)
# The plain form: one that is set into a frame breaks an address over two lines, and half a password is hidden from no one.
_READABLE: Final = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
LEVEL_VARIABLE: Final = "FERROFLUX_LOG_LEVEL"


def _hide_members(_logger: object, _method: str, event: structlog.types.EventDict) -> structlog.types.EventDict:
    """Members without what their names or their texts give away; what is no text keeps its form for the renderer."""
    return {name: redacted_value(value, name) for name, value in event.items()}


class _LineRedaction:
    """The last processor: the whole line, as it is about to be written, without secrets; those that we were given above all."""

    def __init__(self, known: tuple[str, ...]) -> None:
        self._known = known

    def __call__(self, _logger: object, _method: str, line: Any) -> Any:
        return redacted(without(self._known, line)) if isinstance(line, str) else line


def configure_logging() -> None:
    """Every process's logging: JSON lines, or readable ones on a terminal; level INFO unless the variable says another."""
    _configure(os.environ.get(LEVEL_VARIABLE, "INFO").upper(), aiokafka=logging.ERROR)


def configure_quiet_logging() -> None:
    """For a process that tells its story itself on a terminal: warnings only, unless the variable asks for more."""
    # aiokafka reports every connection that fails or ends as an error of its own; ours say what matters of it.
    _configure(os.environ.get(LEVEL_VARIABLE, "WARNING").upper(), aiokafka=logging.CRITICAL)


def _configure(level: str, *, aiokafka: int) -> None:
    number = logging.getLevelNamesMapping().get(level, logging.INFO)
    terminal = sys.stderr.isatty()
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    rendering: list[structlog.types.Processor] = (
        [_READABLE] if terminal else [_TRACEBACKS, structlog.processors.JSONRenderer()]
    )
    ending: list[structlog.types.Processor] = [_hide_members, *rendering, _LineRedaction(known_secrets(os.environ))]
    structlog.configure(
        processors=[*shared, structlog.processors.StackInfoRenderer(), *ending],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    # Libraries log through the standard library: the same form, and only what matters of them.
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *ending],
        )
    )
    logging.basicConfig(level=max(number, logging.WARNING), handlers=[handler], force=True)
    logging.getLogger("aiokafka").setLevel(aiokafka)
