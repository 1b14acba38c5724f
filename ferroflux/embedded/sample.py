"""The sample catalogue on a first run: it takes the way of every change, as events through the log.

Every row has version 0, so loading it a second time (the first was interrupted) changes nothing, and whatever a user changes in a
sample product is newer, whichever way they count: 0 is no count's, so a change that the clock stamps freezes nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Final

import orjson

from ferroflux.embedded.intake.intake import ChangeIntake, Lane, OutboundChange
from ferroflux.embedded.storage.layout import DataDirectory
from ferroflux.ingest.columns import ColumnMapping
from ferroflux.ingest.convert import Rejected, RowConverter
from ferroflux.ingest.rows import Row
from ferroflux.sample.generator import DEFAULT_COUNT, generate
from runtime.files import atomic_write
from schemas.errors import FatalError

_VERSION: Final = 0
_BATCH_ROWS: Final = 50


class SampleError(FatalError):
    """A row of the shipped sample catalogue is not valid. That is a defect of this version: report it, and use --no-sample."""

    code = "sample"


def is_due(directory: DataDirectory, *, empty: bool) -> bool:
    """Whether the sample is to be loaded: into a new installation, or where its loading was interrupted."""
    try:
        state = orjson.loads(directory.sample_loaded.read_bytes())
    except FileNotFoundError:
        return empty
    except orjson.JSONDecodeError:
        return True
    return not state.get("loaded", False)


async def load_sample(
    directory: DataDirectory,
    intake: ChangeIntake,
    on_progress: Callable[[int, int], None],
    *,
    count: int = DEFAULT_COUNT,
) -> int:
    """Load the sample; returns the number of products. `on_progress` gets products taken and in all."""
    _mark(directory, loaded=False)
    rows = _changes(count)
    done = 0
    while batch := list(itertools.islice(rows, _BATCH_ROWS)):
        await intake.take([change for changes in batch for change in changes], lane=Lane.BULK)
        done += len(batch)
        on_progress(done, count)
    _mark(directory, loaded=True)
    return done


def _changes(count: int) -> Iterator[list[OutboundChange]]:
    converter = RowConverter(ColumnMapping({}), _VERSION)
    for number, cells in enumerate(generate(count)):
        converted = converter.convert(Row(number + 1, cells), 0)
        if isinstance(converted, Rejected):
            raise SampleError(f"row {converted.line} of the sample catalogue: {converted.reason}")
        yield [OutboundChange(change.key, change.value) for change in converted.changes]


def _mark(directory: DataDirectory, *, loaded: bool) -> None:
    atomic_write(directory.sample_loaded, orjson.dumps({"loaded": loaded}), durable=False)
