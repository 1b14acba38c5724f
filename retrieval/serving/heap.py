"""What a process keeps for life, taken out of the garbage collector's sight.

Python's full collection walks every container that there is, holding the interpreter's lock: 0.3 s for what a search worker
has loaded once it is warm (half a million), and nothing answers meanwhile.
"""

from __future__ import annotations

import gc
from typing import Final

_THRESHOLDS: Final = (10_000, 5, 400)
"""Containers more than there were until the youngest generation is collected; how many of those a middle collection waits
for; how many of these a full one. Python's own (700, 10, 10) brought a full collection a second under a flood of changes,
0.3 s each, and it found nothing: reference counts free nearly all of it."""


def freeze_heap(*, collect: bool = False) -> None:
    """Leave everything that is there now out of later collections; call it when a process is ready, and when it has loaded more.

    Full collections become rare from then on, too. Frozen objects are freed as ever when nothing refers to them; only
    cycles among them stay. With `collect`, garbage is collected before, which takes the time of a full collection.
    """
    gc.set_threshold(*_THRESHOLDS)
    if collect:
        gc.collect()
    gc.freeze()
