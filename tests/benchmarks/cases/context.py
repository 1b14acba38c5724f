"""What every benchmark is given: how thorough to be, and the prepared catalogue."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.benchmarks.systems.embedded import Embedded
from tests.benchmarks.systems.prepared import Prepared
from tests.benchmarks.systems.production import Production


@dataclass(frozen=True, slots=True)
class Context:
    """`quick` is for a look in a minute or two: a part of the catalogue and short runs, whose figures count for nothing."""

    prepared: Prepared
    quick: bool

    @contextmanager
    def embedded(self) -> Iterator[Embedded]:
        """`ferroflux up` on a copy of the catalogue, ready."""
        with self.prepared.scratch() as folder, self.prepared.copy() as data, Embedded(data, folder) as system:
            yield system

    @contextmanager
    def production(self, *, catalogue_loaded: bool = True) -> Iterator[Production]:
        """Kafka and the vector store with the catalogue; the caller starts the processes that it wants."""
        with (
            self.prepared.scratch() as folder,
            Production(self.prepared, folder, catalogue_loaded=catalogue_loaded) as system,
        ):
            yield system

    def seconds(self, thorough: float) -> float:
        """A run's length."""
        return min(thorough, 12.0) if self.quick else thorough
