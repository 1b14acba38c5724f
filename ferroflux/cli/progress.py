"""Progress of a long command: a bar on a terminal, a line every few seconds elsewhere (a log, CI)."""

from __future__ import annotations

from typing import Final, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from runtime.clock import SYSTEM_CLOCK

_LINE_EVERY_S: Final = 5.0


class FractionProgress:
    """A bar from 0 to 1 with a text beside it; a context manager."""

    def __init__(self, console: Console, what: str) -> None:
        self._console = console
        self._what = what
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._said_at = SYSTEM_CLOCK.monotonic()

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._bar = Progress(
                TextColumn("  {task.description}"),
                BarColumn(),
                TextColumn("{task.percentage:>3.0f} %"),
                TextColumn("{task.fields[text]}"),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                console=self._console,
                transient=True,
            )
            self._task = self._bar.add_task(self._what, total=1.0, text="")
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, fraction: float, text: str) -> None:
        """Show how far it is."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=fraction, text=text)
        elif SYSTEM_CLOCK.monotonic() - self._said_at >= _LINE_EVERY_S:
            self._said_at = SYSTEM_CLOCK.monotonic()
            self._console.print(f"  {self._what}: {fraction:.0%}, {text}", highlight=False)
