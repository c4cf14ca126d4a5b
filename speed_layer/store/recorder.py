"""Recording micro-batches: partials and progress in one transaction, behind the fence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pyarrow as pa
from sqlalchemy import delete, func, insert, select

from contracts.names import Offsets
from speed_layer.store import schema as s
from speed_layer.store.fence import check, is_replay
from speed_layer.store.payload import encode
from speed_layer.store.reader import Reader
from speed_layer.store.records import Block, Progress, Recorded

# Progress of earlier batches is of no use to anyone: this many are about an hour.
KEPT_PROGRESS = 10_000


class Recorder(Reader):
    """What the live query writes."""

    def record_batch(
        self,
        generation: int,
        batch: int,
        from_offsets: Offsets,
        to_offsets: Offsets,
        batch_time_ms: int,
        semantics_hash: str,
        partials: Mapping[str, pa.Table],
        *,
        horizon_seconds: float,
    ) -> Recorded:
        """Record batch `batch`, which covers `[from_offsets, to_offsets)`; `partials` are tables by measure.

        `replayed` where it stands there already with the same range and rules: then nothing is written.
        Raises `FenceRefused`, `RulesChanged`, `ClockJumped` (see `fence`).
        """
        owner = self.generation(generation)
        segment = self.open_segment_number(generation)
        new = Progress(generation, batch, dict(from_offsets), dict(to_offsets), batch_time_ms, semantics_hash, segment)
        last = self.last_progress(generation)
        recorded = last if last and last.batch == batch else self.progress(generation, batch)
        if recorded and owner.state != "retired" and is_replay(recorded, new):
            return "replayed"
        check(owner, last, new, horizon_seconds)
        self.connection.execute(insert(s.progress), {f: getattr(new, f) for f in Progress.__dataclass_fields__})
        self.insert_blocks(
            Block(generation, segment, measure, 0, batch, batch, table.num_rows, encode(table))
            for measure, table in partials.items()
            if table.num_rows
        )
        return "written"

    def insert_blocks(self, blocks: Iterable[Block]) -> None:
        """Write blocks; their ranges of batches must be free."""
        fields = Block.__dataclass_fields__
        rows = [{**{f: getattr(b, f) for f in fields}, "bytes": len(b.payload)} for b in blocks]
        if rows:
            self.connection.execute(insert(s.blocks), rows)

    def forget_progress(self, generation: int, kept: int = KEPT_PROGRESS) -> int:
        """Delete the progress of all but the last `kept` batches; how many rows went.

        A replay of one of those is then refused, as a checkpoint that contradicts the store.
        """
        last = self.last_progress(generation)
        if last is None:
            return 0
        old = (s.progress.c.generation == generation) & (s.progress.c.batch <= last.batch - kept)
        return self.connection.execute(delete(s.progress).where(old)).rowcount

    def open_segment_number(self, generation: int) -> int:
        """The segment that new batches go to."""
        return self._number(select(func.max(s.segments.c.number)).where(s.segments.c.generation == generation))
