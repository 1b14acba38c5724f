"""Whoever begins a task or a thread outside the supervisor says here why it cannot die unseen."""

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[3]
BEGINS: Final = {"create_task", "ensure_future", "run_coroutine_threadsafe", "TaskGroup", "Thread", "Timer"}

ALLOWED: Final = {
    "runtime/supervision.py RunningTask.__init__": "it is the supervisor's",
    "runtime/supervision.py Supervisor.run_until": "two waits, gone when it returns",
    "runtime/kafka/clients.py stopped": "an end with a time limit: awaited",
    "runtime/shared_answer.py SharedAnswers._begin": "one answer for all who ask: its failure goes to each of them, the next begins another",
    "agent/api/chat.py event_stream": "one turn: read, awaited and cancelled by its request",
    "agent/threads/leases.py ThreadLeases._renewed": "one turn's lease: the turn ends when it ends, and it with the turn",
    "ferroflux/cli/up.py run_embedded": "the start: awaited, and cancelled by a signal",
    "ferroflux/operations/routes.py _lines": "one request's build or replay: its result is awaited, and it is cancelled with the request",
    "ferroflux/embedded/generations/member.py GenerationMember.caught_up": "one wait, gone when it returns",
    "ferroflux/embedded/loop_thread.py LoopThread.__init__": "its end is watched by the task indexer-thread",
    "ferroflux/embedded/loop_thread.py LoopThread.call": "its result is awaited by the caller",
    "ferroflux/ingest/run.py IngestRun.run": "batches of one command: each is awaited in order, the rest is cancelled",
    "ferroflux/operations/probe.py Prober._change": "one command's change: awaited or cancelled before it returns",
    "indexer/batch/task_group.py BoundedTaskGroup.begin": "slices of one batch: all are awaited before the batch is committed",
    "indexer/process/generation_builder.py _Work.carry_out": "one command's following of the sources: cancelled and awaited before it returns",
    "indexer/process/generation_builder.py _Work._until_caught_up": "one command's two waits, gone when it returns",
    "indexer/process/supervisor.py _whole": "an end that must not be cut short: awaited",
    "indexer/batch/settling.py Settler._start_encoding": "texts of one batch: awaited by it",
    "query_api/catalogue_view.py CatalogueView.has": "one count of the tenants at a time: where it fails, asyncio logs it and the next request begins another",
    "query_api/replica/generation.py GenerationFollower._unless_stopping": "a restore: awaited or cancelled before it returns",
    "query_api/replica/tailing/letters.py LetterDispatch.turn": "one sending at a time: the tailer's next turn reads how it ended, readiness tells why letters wait",
    "query_api/replica/tailing/kafka.py KafkaDocumentLog._check_topic": "one look at a time: the next poll reads how it ended, or the end of the log cancels it",
    "retrieval/serving/searchers.py Searchers._let_go": "an end with a time limit: told in the log where it fails, awaited by the stop",
    "retrieval/search/retrievers/fanout.py run_retrievers": "retrievers of one query: all are awaited or cancelled by it",
    "retrieval/search/retrievers/encoding_queue.py EncodingQueue._ask": "encodes what queries wait for: a failure goes to each of them, the next query begins another",
}
"""Place -> why it needs no supervisor."""


def packages() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return list(project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])


def begun(tree: ast.AST, within: tuple[str, ...] = ()) -> Iterator[str]:
    """The functions in which something is begun that may outlive them, by qualified name."""
    for node in ast.iter_child_nodes(tree):
        inner = within
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            # A function within a function counts for the outer one.
            inside_function = bool(within) and not within[-1].lstrip("_")[:1].isupper()
            inner = within if inside_function else (*within, node.name)
        if isinstance(node, ast.Call):
            called = node.func
            name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            if name in BEGINS:
                yield ".".join(within) or "(module)"
        yield from begun(node, inner)


def places() -> set[str]:
    found = set()
    for package in packages():
        for path in sorted((ROOT / package).rglob("*.py")):
            source = path.read_text()
            if any(name in source for name in BEGINS):
                found |= {f"{path.relative_to(ROOT)} {place}" for place in begun(ast.parse(source))}
    return found


def test_every_task_outside_the_supervisor_is_named_with_its_reason():
    found = places()
    unnamed = sorted(found - ALLOWED.keys())
    assert not unnamed, (
        f"start these under runtime.supervision.Supervisor, or name them with the reason here: {unnamed}"
    )
    assert not sorted(ALLOWED.keys() - found), "these begin nothing any more"
    assert all(ALLOWED.values())


def test_a_new_bare_task_is_found():
    source = "class Reader:\n    def start(self):\n        self._task = asyncio.create_task(self.run())\n"
    assert list(begun(ast.parse(source))) == ["Reader.start"]
