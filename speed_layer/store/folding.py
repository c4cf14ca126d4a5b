"""Folding: a log-structured merge of blocks. Legal because combine is associative and commutative.

Blocks of level 0 (single batches) become one of level 1; every 16 adjacent blocks of level n become one of level n+1.
So a row is written again once a level, O(log batches) times, and a reader meets O(16 log batches) blocks a measure.
A block never holds batches of two segments.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

import pyarrow as pa
from sqlalchemy import ColumnElement, and_, delete, insert, select, update

from contracts.errors import RunInvalid
from contracts.names import Offsets, covers, dump_offsets
from speed_layer.store import schema as s
from speed_layer.store.payload import encode
from speed_layer.store.reader import BLOCK, SPAN
from speed_layer.store.recorder import Recorder
from speed_layer.store.records import Block, Cut, FoldReport, Span
from speed_layer.store.registry import Registry

Combine = Callable[[str, list[pa.Table]], pa.Table]
FAN_IN = 16
# Larger results are not made: it bounds the memory of a fold, and the size of a row.
LARGEST_BLOCK_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True)
class Merge:
    """Adjacent blocks of one segment and measure, and the level they go to. One block alone only moves up."""

    level: int
    parts: tuple[Span, ...]

    @property
    def bytes(self) -> int:
        """What the parts take, and the result at most (about)."""
        return sum(part.bytes for part in self.parts)


@dataclass(frozen=True, slots=True)
class Merged:
    """A merge and the block it gives (None: the one part moves up as it is)."""

    merge: Merge
    block: Block | None


def plan(spans: Sequence[Span], up_to: int, largest: int = LARGEST_BLOCK_BYTES) -> list[Merge]:
    """The merges due when batches up to `up_to` may be folded. `spans` ordered by (segment, measure, from_batch)."""
    due: list[Merge] = []
    for _, of_measure in groupby(spans, key=lambda span: (span.segment, span.measure)):
        runs = [Merge(span.level, (span,)) for span in of_measure]
        single = [r for r in runs if r.level == 0 and r.parts[0].to_batch <= up_to]
        settled = _climb([r for r in runs if r.level > 0] + _join(single, largest), largest)
        due += [m for m in settled if len(m.parts) > 1 or m.level != m.parts[0].level]
    return due


def _climb(runs: list[Merge], largest: int) -> list[Merge]:
    """Sixteen neighbours of a level put together into the next, level by level, as long as there are sixteen.

    Runs above half of `largest` are done: they stay where they are, and what lies on either side of one never meets.
    """
    level = 1
    while level <= max((r.level for r in runs), default=0):
        climbed: list[Merge] = []
        for here, stretch in groupby(runs, key=lambda r: r.level if 2 * r.bytes <= largest else None):
            equals = list(stretch)
            full = len(equals) - len(equals) % FAN_IN if here == level else 0
            for first in range(0, full, FAN_IN):
                climbed += _join(equals[first : first + FAN_IN], largest)
            climbed += equals[full:]
        runs, level = climbed, level + 1
    return runs


def _join(runs: Sequence[Merge], largest: int) -> list[Merge]:
    """Neighbours put together while the sum stays within `largest` bytes; all go up one level."""
    groups: list[list[Merge]] = []
    size = 0
    for run in runs:
        size += run.bytes
        if groups and size <= largest:
            groups[-1].append(run)
        else:
            groups.append([run])
            size = run.bytes
    return [Merge(group[0].level + 1, tuple(p for r in group for p in r.parts)) for group in groups]


def report(generation: int, up_to: int | None, done: Sequence[Merged]) -> FoldReport:
    """What these merges changed."""
    before = [p for m in done for p in m.merge.parts]
    rows_after = sum(m.block.rows if m.block else m.merge.parts[0].rows for m in done)
    return FoldReport(generation, up_to, len(before), len(done), sum(p.rows for p in before), rows_after)


class Folder(Recorder, Registry):
    """Folding and sealing."""

    def fold(self, generation: int, combine: Combine, now_ms: int, keep_seconds: float = 15) -> FoldReport:
        """Fold the batches whose batch time is `keep_seconds` or more before `now_ms`; younger ones stay single.

        `combine(measure, tables)` merges partials of equal key. Keeps the writers' lock while it combines: prefer
        `Store.fold` beside a running live query.
        """
        up_to = self.last_batch_before(generation, now_ms - int(keep_seconds * 1000))
        return self._fold_up_to(generation, up_to, combine)

    def _fold_up_to(self, generation: int, up_to: int | None, combine: Combine) -> FoldReport:
        merged = self.merged(generation, up_to, combine)
        return report(generation, up_to, [m for m in merged if self.replace(m)])

    def merged(self, generation: int, up_to: int | None, combine: Combine) -> list[Merged]:
        """The merges due, with their results; reads only. Raises `FenceRefused` for an unknown generation."""
        self.generation(generation)
        due = [] if up_to is None else plan(self.spans(generation), up_to)
        return [Merged(m, self._combined(m, combine) if len(m.parts) > 1 else None) for m in due]

    def _combined(self, merge: Merge, combine: Combine) -> Block:
        first, last = merge.parts[0], merge.parts[-1]
        query = select(*BLOCK).where(_within(merge)).order_by(s.blocks.c.from_batch)
        table = combine(first.measure, [b.table() for b in self._all(Block, query)])
        batches = (first.from_batch, last.to_batch)
        return Block(
            first.generation, first.segment, first.measure, merge.level, *batches, table.num_rows, encode(table)
        )

    def replace(self, merged: Merged) -> bool:
        """Put a merge's result in the place of its parts; False, and nothing done, where they are no longer there."""
        merge = merged.merge
        present = self._all(Span, select(*SPAN).where(_within(merge)).order_by(s.blocks.c.from_batch))
        if tuple(present) != merge.parts:
            return False
        if merged.block is None:
            self.connection.execute(update(s.blocks).where(_within(merge)).values(level=merge.level))
        else:
            self.connection.execute(delete(s.blocks).where(_within(merge)))
            self.insert_blocks([merged.block])
        return True

    def seal(self, run_id: str, generation: int, combine: Combine, now: datetime) -> Cut:
        """Close the open segment behind the last recorded batch, open the next, and write down the cut of `run_id`.

        Folds the closed segment. A second seal of the same run gives the same cut. With nothing recorded the cut
        stands at the generation's start, `batch` -1. Raises `RunInvalid` where the run was sealed on another
        generation, the generation is retired, or it has not reached the cut that it began behind.
        """
        known = self.cut(run_id)
        owner = self.generation(generation)
        if known and known.generation == generation:
            return known
        if known or owner.state == "retired":
            where = f"sealed on generation {known.generation} already" if known else "to be sealed on a retired one"
            raise RunInvalid(f"Run {run_id} is {where}", "Start a new run on the generation that is live.")
        last = self.last_progress(generation)
        batch, offsets = (last.batch, last.to_offsets) if last else (-1, owner.start)
        self._not_behind_a_cut(generation, offsets)
        self._fold_up_to(generation, batch, combine)
        segment = self.open_segment_number(generation)
        cut = Cut(run_id, generation, segment, batch, offsets, owner.semantics_hash, None, now)
        self.insert_cut(cut)
        return cut

    def _not_behind_a_cut(self, generation: int, offsets: Offsets) -> None:
        # A generation that warms up reads records before the cut it began behind, and keeps no partials of them: a
        # run built at such a place would miss what lies between.
        if any(not covers(offsets, cut.offsets) for cut in self.cuts() if cut.generation == generation):
            raise RunInvalid(
                f"Generation {generation} stands at {dump_offsets(offsets)}, before a cut of its own",
                "Start the live query, wait until it has caught up, then seal again.",
            )

    def record_cut(self, cut: Cut) -> None:
        """Write down a cut whose segment is closed already."""
        self.connection.execute(insert(s.cuts).values({f: getattr(cut, f) for f in Cut.__dataclass_fields__}))

    def insert_cut(self, cut: Cut) -> None:
        """Write down a cut, close its segment and open the next."""
        self.record_cut(cut)
        key = and_(s.segments.c.generation == cut.generation, s.segments.c.number == cut.segment)
        self.connection.execute(update(s.segments).where(key).values(last_batch=cut.batch, run_id=cut.run_id))
        self.open_segment(cut.generation, cut.segment + 1, first_batch=cut.batch + 1)


def _within(merge: Merge) -> ColumnElement[bool]:
    """The blocks that lie in a merge's range of batches."""
    b, first = s.blocks.c, merge.parts[0]
    same = and_(b.generation == first.generation, b.segment == first.segment, b.measure == first.measure)
    return and_(same, b.from_batch >= first.from_batch, b.from_batch <= merge.parts[-1].from_batch)
