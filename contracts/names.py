"""Names of records: `(log, partition, offset)`, and offset vectors over them.

An offset vector maps a partition to an *exclusive* offset. It is how Tidemark says "until here":
the cut, a batch's range, a commit's end. A partition that is absent stands at 0.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

Offsets = Mapping[int, int]


def dump_offsets(offsets: Offsets) -> str:
    """The vector as JSON text, partitions in order: equal vectors give equal texts."""
    return json.dumps({str(p): offsets[p] for p in sorted(offsets)}, separators=(",", ":"))


def load_offsets(text: str) -> dict[int, int]:
    """The vector of `dump_offsets`, or of one topic's part of Spark's offset log."""
    return {int(p): int(o) for p, o in json.loads(text).items()}


def span(start: Offsets, end: Offsets) -> int:
    """How many records lie in `[start, end)`; offsets are dense, so this is exact."""
    return sum(offset - start.get(p, 0) for p, offset in end.items())


def covers(a: Offsets, b: Offsets) -> bool:
    """Whether `a` has reached `b` in every partition."""
    return all(a.get(p, 0) >= offset for p, offset in b.items())


def same(a: Offsets, b: Offsets) -> bool:
    """Whether two vectors say the same; a partition at 0 equals an absent one."""
    return covers(a, b) and covers(b, a)
