"""What the store gives out: one frozen record a row. Times are aware UTC datetimes unless the name ends in `_ms`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple

import pyarrow as pa

from contracts.names import Offsets
from speed_layer.store.payload import decode

State = Literal["active", "catching_up", "retired"]
Recorded = Literal["written", "replayed"]


@dataclass(frozen=True, slots=True)
class Log:
    """One Kafka topic id. `number` is the `log` in the name of a record."""

    number: int
    topic: str
    topic_id: str
    registered_at: datetime


@dataclass(frozen=True, slots=True)
class Generation:
    """One uninterrupted run of the live query under one set of rules, over `log` from `start` on."""

    number: int
    log: int
    start: Offsets
    semantics_hash: str
    anchor_run: str | None
    state: State
    created_at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Segment:
    """The batches between two seals. `run_id` and `last_batch` are None while it is open.

    `first_batch > last_batch` where no batch was recorded. Once `is_dropped` its blocks are gone for good.
    """

    generation: int
    number: int
    first_batch: int
    last_batch: int | None
    run_id: str | None
    is_dropped: bool


@dataclass(frozen=True, slots=True)
class Progress:
    """A recorded micro-batch: it covers `[from_offsets, to_offsets)`; `batch_time_ms` is the batch's own timestamp."""

    generation: int
    batch: int
    from_offsets: Offsets
    to_offsets: Offsets
    batch_time_ms: int
    semantics_hash: str
    segment: int


@dataclass(frozen=True, slots=True)
class Span:
    """A block without its payload: the partials of one measure of batches `from_batch..to_batch`, both included."""

    generation: int
    segment: int
    measure: str
    level: int
    from_batch: int
    to_batch: int
    rows: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Block:
    """The partials of one measure of batches `from_batch..to_batch`, both included.

    Level 0 is one batch as recorded; a block of level n+1 is up to 16 combined blocks of level n.
    """

    generation: int
    segment: int
    measure: str
    level: int
    from_batch: int
    to_batch: int
    rows: int
    payload: bytes

    def table(self) -> pa.Table:
        """The partials: the columns of the measure, naive UTC timestamps."""
        return decode(self.payload)


@dataclass(frozen=True, slots=True)
class Cut:
    """Where a run's batch half ends and the speed half begins: after `batch`, at `offsets` (exclusive).

    `segment` is the one the seal closed; `batch` is -1 where none was recorded.
    `bronze_version` is None until bronze has reached the offsets.
    """

    run_id: str
    generation: int
    segment: int
    batch: int
    offsets: Offsets
    semantics_hash: str
    bronze_version: int | None
    sealed_at: datetime


@dataclass(frozen=True, slots=True)
class Published:
    """A published run. The speed half that goes with it: blocks of `generation` in segments above `segment`.

    `previous` is the run that was published before it: what a rollback goes back to.
    """

    run_id: str
    generation: int
    offsets: Offsets
    semantics_hash: str
    manifest_path: str
    published_at: datetime
    batch: int
    segment: int
    previous: str | None = None


@dataclass(frozen=True, slots=True)
class FoldReport:
    """What one fold did. `up_to_batch` is None where no batch was old enough; `blocks_before` counts those replaced."""

    generation: int
    up_to_batch: int | None
    blocks_before: int
    blocks_after: int
    rows_before: int
    rows_after: int


@dataclass(frozen=True, slots=True)
class DimensionVersion:
    """The version of a dimension's Delta table that answers are read with. `table_id` is the table's own.

    A table that was lost and loaded anew counts its versions from 0: the id tells them apart.
    """

    version: int
    table_id: str
    loaded_at: datetime


class SpeedPart(NamedTuple):
    """What a merged answer needs from the store, out of one snapshot."""

    pointer: Published | None
    generation: Generation | None
    progress: Progress | None
    blocks: list[Block]
