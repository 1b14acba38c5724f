"""Memory and processor time of running processes, children included."""

from dataclasses import asdict, dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True, slots=True)
class Memory:
    """Megabytes (2**20). `pss` divides shared pages among the processes that share them; `own` are private pages."""

    rss: float
    pss: float
    own: float

    def as_json(self) -> dict[str, float]:
        return asdict(self)

    def __str__(self) -> str:
        return f"RSS {self.rss:,.0f} MB · PSS {self.pss:,.0f} MB · private {self.own:,.0f} MB"


def memory_of(pid: int) -> Memory:
    """Memory of one process, from the kernel's own sums."""
    kilobytes = {
        name: int(rest.split()[0])
        for name, _, rest in (
            line.partition(":") for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
        )
    }
    own = kilobytes["Private_Clean"] + kilobytes["Private_Dirty"]
    return Memory(*(round(value / 1024, 1) for value in (kilobytes["Rss"], kilobytes["Pss"], own)))


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has used, all threads."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)
