"""What Spark's checkpoint says of a query: the range and the clock of each micro-batch.

The offset log is written before a batch runs, so a replay reads the same range and the same time.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from contracts.errors import CheckpointLost


@dataclass(frozen=True, slots=True)
class BatchRange:
    """A micro-batch: `[start, end)` offset vectors, and its own time in ms since 1970."""

    start: dict[int, int]
    end: dict[int, int]
    time_ms: int


class Checkpoint:
    """One streaming query's checkpoint folder, on a local or mounted file system."""

    def __init__(self, folder: Path, topic: str) -> None:
        self.folder = folder
        self._topic = topic

    def last_planned(self) -> int | None:
        """The newest batch in the offset log; None where the query never ran."""
        numbers = [int(p.name) for p in (self.folder / "offsets").glob("*") if p.name.isdigit()]
        return max(numbers, default=None)

    def range_of(self, batch: int, start: dict[int, int]) -> BatchRange:
        """The range of `batch`; `start` is where batch 0 begins. Raises `CheckpointLost` where the log has a hole."""
        end, time_ms = self._read(batch)
        before = start if batch == 0 else self._read(batch - 1)[0]
        return BatchRange(before, end, time_ms)

    def _read(self, batch: int) -> tuple[dict[int, int], int]:
        path = self.folder / "offsets" / str(batch)
        try:
            _, metadata, offsets = path.read_text().splitlines()
        except (OSError, ValueError) as error:
            remedy = "Start a new generation with `tidemark generations new`: bronze and Kafka hold it all."
            raise CheckpointLost(f"The checkpoint in {self.folder} has no offsets for batch {batch}", remedy) from error
        by_topic = json.loads(offsets)
        return {int(p): o for p, o in by_topic.get(self._topic, {}).items()}, json.loads(metadata)["batchTimestampMs"]
