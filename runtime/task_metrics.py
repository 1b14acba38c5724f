"""What a process tells of its supervised tasks. No label holds a generation, a tenant or anything else without a bound."""

from __future__ import annotations

import threading

from prometheus_client import CollectorRegistry, Counter, Gauge


class TaskMetrics:
    """One per registry, shared by every supervisor of the process; any thread may call it."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self._restarts = Counter(
            "ferroflux_task_restarts",
            "Restarts of a background task by cause: retryable (a dependency is away), defect (a fault of ours), fatal (of a part "
            "that the process can do without).",
            ["task", "cause"],
            registry=registry,
        )
        self._up = Gauge(
            "ferroflux_task_up",
            "Whether a background task works: 0 while it rests after a failure, and once it ended by one.",
            ["task"],
            registry=registry,
            multiprocess_mode="livemin",
        )
        self._down: dict[str, set[object]] = {}
        self._lock = threading.Lock()

    def up(self, task: str, instance: object) -> None:
        """This instance of a task works, or has ended in order."""
        with self._lock:
            down = self._down.setdefault(task, set())
            down.discard(instance)
            self._up.labels(task).set(not down)

    def down(self, task: str, instance: object) -> None:
        """This instance of a task failed: the task is down until all its instances work again."""
        with self._lock:
            self._down.setdefault(task, set()).add(instance)
            self._up.labels(task).set(0)

    def restarted(self, task: str, cause: str) -> None:
        """Count a restart."""
        self._restarts.labels(task, cause).inc()
