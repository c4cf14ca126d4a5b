"""Reading the store. Every method sees the snapshot of the `store.read()` or `store.write()` it belongs to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Connection, Executable, Select, func, select, text

from contracts.errors import FenceRefused, RunInvalid
from speed_layer.store import schema as s
from speed_layer.store.records import Block, Cut, DimensionVersion, Generation, Log, Progress, Published, Segment, Span

T = TypeVar("T")
SPAN = [s.blocks.c[f] for f in Span.__dataclass_fields__]
# Notes under it say which version of a dimension answers are read with.
DIMENSION = "dimension/"
BLOCK = [s.blocks.c[f] for f in Block.__dataclass_fields__]


class Reader:
    """What can be asked of the store. Holds the connection of one transaction."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def logs(self) -> list[Log]:
        """Every log, by number."""
        return self._all(Log, select(s.logs).order_by(s.logs.c.number))

    def log_of(self, topic_id: str) -> Log | None:
        """The log of a Kafka topic id."""
        return self._one(Log, select(s.logs).where(s.logs.c.topic_id == topic_id))

    def current_log(self, topic: str) -> Log | None:
        """The newest log registered under a topic's name."""
        return self._one(Log, select(s.logs).where(s.logs.c.topic == topic).order_by(s.logs.c.number.desc()))

    def generations(self) -> list[Generation]:
        """Every generation, by number."""
        return self._all(Generation, select(s.generations).order_by(s.generations.c.number))

    def generation(self, generation: int) -> Generation:
        """One generation. Raises `FenceRefused` where the store has none of that number."""
        found = self._one(Generation, select(s.generations).where(s.generations.c.number == generation))
        if found is None:
            raise FenceRefused(
                f"The store has no generation {generation}",
                "Check that TIDEMARK_STORE_URL is the store this checkpoint belongs to; if it is lost, "
                "run `tidemark recover`.",
            )
        return found

    def newest_generation(self) -> Generation | None:
        """The generation of the highest number, whatever its state."""
        return self._one(Generation, select(s.generations).order_by(s.generations.c.number.desc()))

    def segments(self, generation: int) -> list[Segment]:
        """A generation's segments, by number; the last one is open."""
        query = select(s.segments).where(s.segments.c.generation == generation).order_by(s.segments.c.number)
        return self._all(Segment, query)

    def progress(self, generation: int, batch: int) -> Progress | None:
        """A recorded batch."""
        key = (s.progress.c.generation == generation) & (s.progress.c.batch == batch)
        return self._one(Progress, select(s.progress).where(key))

    def last_progress(self, generation: int) -> Progress | None:
        """The last recorded batch of a generation."""
        return self._one(Progress, self._newest_progress(generation))

    def last_batch_before(self, generation: int, batch_time_ms: int) -> int | None:
        """The last batch whose batch time is not above `batch_time_ms`."""
        old = self._newest_progress(generation).where(s.progress.c.batch_time_ms <= batch_time_ms)
        found = self._one(Progress, old)
        return found.batch if found else None

    def cut(self, run_id: str) -> Cut | None:
        """The cut sealed for a run."""
        return self._one(Cut, select(s.cuts).where(s.cuts.c.run_id == run_id))

    def cuts(self) -> list[Cut]:
        """Every cut, by generation and segment."""
        return self._all(Cut, select(s.cuts).order_by(s.cuts.c.generation, s.cuts.c.segment))

    def pointer(self) -> Published | None:
        """The published run that answers are made of."""
        return self._one(Published, _published().join(s.pointer, s.pointer.c.run_id == s.published.c.run_id))

    def published(self) -> list[Published]:
        """Every run ever published, the newest first; after a rollback the first is not the pointer's."""
        return self._all(Published, _published().order_by(s.published.c.sequence.desc()))

    def blocks(self, generation: int, after_segment: int = -1) -> list[Block]:
        """Every block in segments above `after_segment`, ordered by (measure, from_batch): all partials since that cut.

        Raises `RunInvalid` where one of those segments was dropped already (the answer would be too small).
        """
        gone = [g.number for g in self.segments(generation) if g.number > after_segment and g.is_dropped]
        if gone:
            raise RunInvalid(
                f"The speed store no longer holds segments {gone} of generation {generation}",
                "Read from the pointer of the same snapshot, or publish a new run.",
            )
        query = select(*BLOCK).where(s.blocks.c.generation == generation, s.blocks.c.segment > after_segment)
        return self._all(Block, query.order_by(s.blocks.c.measure, s.blocks.c.from_batch))

    def blocks_since(self, generation: int, batch: int) -> list[Block] | None:
        """The blocks of batches above `batch`, for a reader that holds everything up to it; ordered as `blocks`.

        None where that cannot be told apart any more, because a fold or a seal has put `batch` and a later one into
        one block, or segments after it were dropped: then start afresh with `blocks`. A reader that comes back
        within the fold's `keep_seconds` meets this only at a seal.
        """
        dropped = s.segments.c.is_dropped & (s.segments.c.last_batch > batch)
        gone = select(s.segments.c.number).where(s.segments.c.generation == generation, dropped)
        if self.connection.execute(gone.limit(1)).first():
            return None
        query = select(*BLOCK).where(s.blocks.c.generation == generation, s.blocks.c.to_batch > batch)
        found = self._all(Block, query.order_by(s.blocks.c.measure, s.blocks.c.from_batch))
        return None if any(b.from_batch <= batch for b in found) else found

    def spans(self, generation: int) -> list[Span]:
        """What `blocks` there are, without their payloads; ordered by (segment, measure, from_batch)."""
        b = s.blocks.c
        query = select(*SPAN).where(b.generation == generation).order_by(b.segment, b.measure, b.from_batch)
        return self._all(Span, query)

    def note(self, name: str) -> str | None:
        """A text some process left under `name`."""
        return self.connection.execute(select(s.notes.c.value).where(s.notes.c.name == name)).scalar()

    def dimensions(self) -> dict[str, DimensionVersion]:
        """The version of each loaded dimension that answers are read with, by name."""
        query = select(s.notes).where(s.notes.c.name.startswith(DIMENSION)).order_by(s.notes.c.name)
        said = {row["name"].removeprefix(DIMENSION): json.loads(row["value"]) for row in self._rows(query)}
        return {
            name: DimensionVersion(d["version"], d["table_id"], datetime.fromisoformat(d["loaded_at"]))
            for name, d in said.items()
        }

    def counts(self) -> dict[str, int]:
        """Figures for status and metrics: rows of each kind, `block_rows`, `block_bytes`, `unfolded_blocks`."""
        tables = (s.logs, s.generations, s.progress, s.cuts, s.published)
        rows = {t.name: self._number(select(func.count()).select_from(t)) for t in tables}
        rows["blocks"] = self._number(select(func.count()).select_from(s.blocks))
        rows["unfolded_blocks"] = self._number(select(func.count()).where(s.blocks.c.level == 0))
        rows["block_rows"] = self._number(select(func.coalesce(func.sum(s.blocks.c.rows), 0)))
        rows["block_bytes"] = self._number(select(func.coalesce(func.sum(s.blocks.c.bytes), 0)))
        return rows

    def size_bytes(self) -> int:
        """How much disk the store takes, indexes included."""
        if self.connection.dialect.name == "sqlite":
            pages = text("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size")
            return self._number(pages)
        names = ", ".join(f"('{t}')" for t in s.metadata.tables)
        return self._number(
            text(f"SELECT sum(pg_total_relation_size(name::regclass)) FROM (VALUES {names}) AS t(name)")
        )

    def _newest_progress(self, generation: int) -> Select[Any]:
        mine = select(s.progress).where(s.progress.c.generation == generation)
        return mine.order_by(s.progress.c.batch.desc())

    def _all(self, kind: type[T], query: Executable) -> list[T]:
        return [kind(**row) for row in self._rows(query)]

    def _one(self, kind: type[T], query: Select[Any]) -> T | None:
        found = self._rows(query.limit(1))
        return kind(**found[0]) if found else None

    def _rows(self, query: Executable) -> Sequence[dict[str, Any]]:
        result = self.connection.execute(query)
        names = list(result.keys())
        return [dict(zip(names, row, strict=True)) for row in result]

    def _number(self, query: Executable) -> int:
        return int(self.connection.execute(query).scalar() or 0)


def _published() -> Select[Any]:
    cut = [c for c in s.cuts.c if c.name not in ("bronze_version", "sealed_at")]
    own = [s.published.c.manifest_path, s.published.c.published_at, s.published.c.previous]
    return select(*cut, *own).select_from(s.published.join(s.cuts, s.cuts.c.run_id == s.published.c.run_id))
