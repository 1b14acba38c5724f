"""One product whose price several sources feed, by versions that do not compare, and an operator who hands it over and frees it.

A clock counts microseconds, a database counts positions; now and then the clock is ahead, and a source writes that nobody declared.
The dice are of their own: a schedule without any of it is the very same as it was before there was this.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from indexer.records import taken_ms
from indexer.sources.live import LiveSources
from indexer.sources.port import MemorySourceStore
from schemas.errors import PoisonError, UndeclaredSourceError
from schemas.events.admission import AdmissionRules, Changes, ParsedRecord
from schemas.events.canonical import encode_event
from schemas.events.parser import EventParser
from schemas.identity import SkuKey
from schemas.product.changes import ITEM_FACET, ChangeEvent, FacetKey
from schemas.product.merge import ItemState, merge_all
from schemas.product.sources import (
    ANY_SOURCE,
    History,
    SourceEntry,
    SourceHistory,
    epoch_taken,
    handed_over,
    present_source,
    reset_entry,
)
from schemas.version import SourceVersion
from tests.sim.model.broker import BULK, CHANGES, Broker
from tests.sim.model.histories import Arrival

if TYPE_CHECKING:
    from tests.sim.model.world import Process, World

FED: Final = SkuKey.of("other", "FED")
PRICE: Final = FacetKey("price")
CLOCK, POSITIONS, STRAY = "clock", "positions", "stray"

MAX_AHEAD_S: Final = 1.0
AHEAD_S: Final = 3.0
HOLDS_AFTER_MS: Final = 1_000
FRESH_FOR_S: Final = 0.5
_YEAR_MS: Final = 365 * 86_400_000


@dataclass(slots=True)
class Feeds:
    """What of it there is in one schedule."""

    dice: random.Random
    active: bool = False
    _world: "World" = field(init=False)
    _store: MemorySourceStore = field(init=False)
    _position: int = 0
    _sent: int = 0

    @classmethod
    def of(cls, seed: int) -> "Feeds":
        dice = random.Random(f"fed {seed}")
        return cls(dice, dice.random() < 0.25)

    def begin(self, world: "World") -> None:
        self._world = world
        self._store = MemorySourceStore(world, holds_after_ms=HOLDS_AFTER_MS)

    def parser_of(self, process: "Process") -> EventParser:
        """How a process that follows the history reads records."""
        guards = self._world.guards
        live = LiveSources(self._world, fresh_for_s=FRESH_FOR_S if guards.sources_known else 1e9)
        if not guards.sources_known:
            live.hear(())
        process.spawn(self._follow(process, live))
        return self._parser(live.history)

    def parser_now(self) -> EventParser:
        """How a command reads records, which looks at the history when it begins."""
        known = SourceHistory(self._entries())
        return self._parser(lambda: known)

    async def act(self, broker: Broker, arrivals: list[Arrival], *, partitions: int, over_s: float) -> None:
        """Some seconds of sources and an operator; what they send is added to the arrivals as it is to be taken in."""
        if not self._sent:
            await self._send_item(broker, arrivals, partitions)
        for _ in range(self.dice.randint(4, 14)):
            await asyncio.sleep(self.dice.uniform(0, over_s / 7))
            if self.dice.random() < 0.75:
                self._send(broker, arrivals, self.dice.randrange(partitions))
                continue
            entry = await self._operate()
            if self.dice.random() < 0.6:  # the source begins as soon as it may
                await asyncio.sleep(HOLDS_AFTER_MS / 1_000 + self.dice.uniform(0.001, 0.3))
                source = CLOCK if entry.source == ANY_SOURCE else entry.source
                self._send(broker, arrivals, self.dice.randrange(partitions), source)

    def differences(self, broker: Broker, arrivals: Sequence[Arrival]) -> list[str]:
        """Whether an index that is built now, a year later, from all that was ever logged, holds the same."""
        if not self.active:
            return []
        wanted = merge_all(one.event for one in arrivals if one.event is not None and one.event.key == FED)
        built = self._rebuilt(broker)
        return [] if built == wanted else [f"an index built a year later holds another state of {FED}"]

    def _rebuilt(self, broker: Broker) -> ItemState:
        parser, events, later_ms = self.parser_now(), list[ChangeEvent](), self._world.now_us() // 1_000 + _YEAR_MS
        rows = [row for (topic, _), rows in broker.logs.items() if topic in (CHANGES, BULK) for row in rows]
        for row in rows:
            if row.key != FED.kafka_key:
                continue
            try:
                parsed = parser.parse(row.key, row.value, taken_ms=taken_ms(row, later_ms))
            except PoisonError:
                continue
            assert isinstance(parsed, Changes)
            events += parsed.events
        self.dice.shuffle(events)
        return merge_all(events)

    def _parser(self, history: Callable[[], SourceHistory]) -> EventParser:
        guards = self._world.guards
        if not guards.source_epochs:
            history = SourceHistory
        elif not guards.since:
            told = history
            history = lambda: SourceHistory(replace(one, since_ms=0) for one in told().entries.values())  # noqa: E731
        rules = AdmissionRules(MAX_AHEAD_S if guards.max_ahead else 1e9, history)
        return EventParser(admission=rules) if guards.log_time else _ByReadersClock(self._world, rules)

    async def _follow(self, process: "Process", live: LiveSources) -> None:
        while True:
            await process.point()
            live.hear(self._entries())
            away = self.dice.random() < 0.05 and not self._world.calm
            await asyncio.sleep(self.dice.uniform(1.0, 3.0) if away else self.dice.uniform(0.05, 0.2))

    async def _send_item(self, broker: Broker, arrivals: list[Arrival], partitions: int) -> None:
        event = ChangeEvent(FED, ITEM_FACET, SourceVersion(0, 1), {"title": "Fed"})
        self._sent += 1
        self._log(broker, arrivals, event, "producer", self.dice.randrange(partitions))

    def _send(self, broker: Broker, arrivals: list[Arrival], partition: int, source: str = "") -> None:
        source = source or self.dice.choice((CLOCK, CLOCK, CLOCK, POSITIONS, POSITIONS, POSITIONS, STRAY))
        if self._is_declared_later(source):
            return
        now_us, ahead = self._world.now_us(), source == CLOCK and self.dice.random() < 0.2
        self._position += 1
        self._sent += 1
        sequence = {CLOCK: now_us + int(AHEAD_S * 1e6) * ahead, STRAY: now_us + self._sent}.get(source, self._position)
        event = ChangeEvent(FED, PRICE, SourceVersion(0, sequence), {"price": float(self._sent)})
        self._log(broker, arrivals, event, source, partition, ahead=ahead)

    def _log(
        self,
        broker: Broker,
        arrivals: list[Arrival],
        event: ChangeEvent,
        source: str,
        partition: int,
        *,
        ahead: bool = False,
    ) -> None:
        value = encode_event(event, source)
        place = broker.append(CHANGES, FED.kafka_key, value, partition)
        taken = broker.logs[place][-1].timestamp_ms
        held: ChangeEvent | None = None
        if not ahead:
            try:
                history = self._history() if event.facet == PRICE else ()
                epoch = epoch_taken(history, source, 0, taken)
                held = replace(event, version=replace(event.version, epoch=epoch))
            except UndeclaredSourceError:
                held = None
        arrivals.append(Arrival(self._world.now, CHANGES, partition, FED.kafka_key, value, held))
        said = "poison" if held is None else f"v{held.version}"
        self._world.note(source, str(FED), event.facet, f"{CHANGES}/{partition}", said, str(event.fields))

    async def _operate(self) -> SourceEntry:
        history = self._history()
        to = self.dice.choice([one for one in (CLOCK, POSITIONS) if one != present_source(history)])
        hand_over = self.dice.random() < 0.6

        def decide(known: SourceHistory, since_ms: int) -> SourceEntry:
            mine = known.exactly(FED.tenant, PRICE)
            if hand_over:
                return handed_over(mine, FED.tenant, PRICE, to, since_ms=since_ms)
            return reset_entry(mine, FED.tenant, PRICE, since_ms=since_ms)

        entry = await self._store.add(decide)
        self._world.note("operator", f"{entry.source} feeds {PRICE} in epoch {entry.epoch} from {entry.since_ms}")
        return entry

    def _is_declared_later(self, source: str) -> bool:
        """Such a source's rows are refused now and come in when they are read again: the live index is behind until then."""
        history, now_ms = self._history(), self._world.now_us() // 1_000
        holding = {one.source for one in history if one.since_ms <= now_ms} - {ANY_SOURCE}
        return bool(holding) and source not in holding and source != STRAY

    def _history(self) -> History:
        return SourceHistory(self._entries()).exactly(FED.tenant, PRICE)

    def _entries(self) -> Sequence[SourceEntry]:
        return self._store.all()


class _ByReadersClock(EventParser):
    """The log's time taken away: a record is judged by the moment at which it is read."""

    def __init__(self, world: "World", rules: AdmissionRules) -> None:
        super().__init__(admission=rules)
        self._world = world

    def parse(self, key: bytes | None, value: bytes | None, *, taken_ms: int | None = None) -> ParsedRecord:
        later = taken_ms is not None and taken_ms > self._world.now_us() // 1_000
        return super().parse(key, value, taken_ms=taken_ms if later else self._world.now_us() // 1_000)
