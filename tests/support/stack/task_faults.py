"""Background tasks that die in a real process: `FERROFLUX_TEST_TASK_FAULTS="replica=defect@1.5 document-verifier=retryable@2"`.

The task of that name ends by such an error so many seconds after it was started first, in the middle of whatever it does.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from runtime.supervision import RunningTask, Supervisor, Work
from schemas.errors import FatalError, LogUnavailableError

VARIABLE: Final = "FERROFLUX_TEST_TASK_FAULTS"

_ERRORS: Final[dict[str, Callable[[], Exception]]] = {
    "retryable": lambda: LogUnavailableError("a test took the log away"),
    "defect": lambda: ZeroDivisionError("a test's defect"),
    "fatal": lambda: FatalError("a test ended this; start it again"),
}


def install(faults: str) -> None:
    """Let every supervisor of this process strike the tasks that `faults` names."""
    planned = {}
    for fault in faults.split():
        name, _, how = fault.partition("=")
        kind, _, seconds = how.partition("@")
        planned[name] = (_ERRORS[kind], float(seconds))
    start = Supervisor.start

    def struck(supervisor: Supervisor, name: str, work: Work, **options: Any) -> RunningTask:
        fault = planned.pop(name, None)
        return start(supervisor, name, work if fault is None else _once(work, *fault), **options)

    Supervisor.start = struck  # type: ignore[method-assign,assignment] # a test's fault


def _once(work: Work, error: Callable[[], Exception], after_s: float) -> Work:
    pending = [error]

    async def run() -> None:
        if not pending:
            await work()
            return
        working = asyncio.ensure_future(work())
        try:
            await asyncio.wait({working}, timeout=after_s)
            if working.done():
                working.result()
            made = pending.pop()()
            raise made
        finally:
            working.cancel()
            await asyncio.wait({working})

    return run
