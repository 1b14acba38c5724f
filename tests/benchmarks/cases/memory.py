"""(e) Memory of every process with the catalogue loaded, after some changes and queries."""

from tests.benchmarks.cases.context import Context
from tests.benchmarks.report.outcome import Goal, Outcome
from tests.benchmarks.report.processes import memory_of
from tests.benchmarks.systems import embedded, production
from tests.benchmarks.workload.generator import Load
from tests.benchmarks.workload.launch import send_load

_GOAL_MB = 600


def run(context: Context) -> Outcome:
    """What the kernel says after a working spell: 50 queries/s and 50 changes/s."""
    outcome = Outcome("memory", "memory of the processes, MB")
    with context.production() as system:
        system.start_all()
        _work(context, system.kafka.bootstrap, production.TOPIC, system.ports["api"])
        for name in ("api", "replica", "indexer"):
            found = memory_of(system.processes[name].pid)
            outcome.say(f"{name}: {found}")
            outcome.figures[name] = found.as_json()
    outcome.goal(Goal("API worker RSS", outcome.figures["api"]["rss"], _GOAL_MB, "MB"))
    with context.embedded() as up:
        _work(context, up.bootstrap, embedded.TOPIC, up.port)
        found = memory_of(up.process.pid)
        outcome.say(f"up (all in one): {found}")
        outcome.figures["up"] = found.as_json()
    return outcome


def _work(context: Context, bootstrap: str, topic: str, port: int) -> None:
    send_load(
        Load(
            bootstrap=bootstrap,
            topic=topic,
            host="127.0.0.1",
            port=port,
            quick=context.quick,
            seed=50,
            seconds=context.seconds(25.0),
            changes_per_s=50,
            queries_per_s=50,
            followed_per_s=1,
        )
    )
