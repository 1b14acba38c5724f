"""The outcome of one benchmark: lines for people, figures for machines, goals with a verdict."""

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Goal:
    """A figure that was promised. `most` says whether it is an upper bound; else it is a lower one."""

    what: str
    measured: float
    bound: float
    unit: str
    most: bool = True

    @property
    def met(self) -> bool:
        return self.measured <= self.bound if self.most else self.measured >= self.bound

    def __str__(self) -> str:
        sign = "≤" if self.most else "≥"
        verdict = "met   " if self.met else "MISSED"
        return f"{verdict} {self.what}: {self.measured:,.2f} {self.unit} (goal {sign} {self.bound:,g})"


@dataclass(slots=True)
class Outcome:
    """What a benchmark found. Every line that is printed has its parts in `figures`."""

    name: str
    title: str
    lines: list[str] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)
    goals: list[Goal] = field(default_factory=list)

    def say(self, line: str) -> None:
        """Print a line now, and keep it."""
        print(f"  {line}", flush=True)
        self.lines.append(line)

    def goal(self, goal: Goal) -> None:
        """Keep a goal and print its verdict."""
        self.goals.append(goal)
        self.say(str(goal))

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "title": self.title,
            "lines": self.lines,
            "figures": self.figures,
            "goals": [{**asdict(goal), "met": goal.met} for goal in self.goals],
        }
