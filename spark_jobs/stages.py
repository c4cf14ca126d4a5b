"""The transforms as Spark stages: functions over iterators of Arrow batches, for `mapInArrow`.

They run in Spark's Python workers, so what they need travels as plain values and is built once a task.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema
from pyspark.sql.types import StructType

from contracts.algebra import Algebra, Connection, connect, instants, retype
from contracts.envelope import KEY_HEADER
from contracts.measures import QUALITY
from contracts.names import Offsets
from spark_jobs.transforms.batches import RECORD, outcome

Stage = Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]

NAMED_TABLES = "name string, payload binary"
REJECTED = "!rejected"
RECEIVED = "!received"


def dedupe_key(headers: Column) -> Column:
    """The record's deduplication key from its headers; null where the entrance did not write one."""
    return F.element_at(F.filter(headers, lambda h: h["key"] == KEY_HEADER)["value"], 1)


def partials_stage(
    rules: Mapping[str, str], counts_from: Offsets, firsts: Callable[[pa.Table], pa.Table] = lambda records: records
) -> Stage:
    """Records to (name, payload): each measure's partials, the quality counts, the rejected and the times received.

    `firsts` keeps the first of each record's copies. Records below `counts_from` warm that up and count for nothing.
    Payloads are Arrow IPC streams.
    """

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        held = list(batches)
        read = pa.Table.from_batches(held).cast(RECORD) if held else RECORD.empty_table()
        records = _counted(firsts(read), counts_from) if held else read
        if records.num_rows == 0:
            return
        result = outcome(records, rules)
        tables = Algebra.of(rules).partials(_connection(), result.events) | {QUALITY.name: result.quality}
        tables |= {REJECTED: result.rejected, RECEIVED: result.events.select(["received_at", "broker_time"])}
        kept = {name: table for name, table in tables.items() if table.num_rows}
        yield pa.record_batch([list(kept), [to_ipc(t) for t in kept.values()]], names=["name", "payload"])

    return run


@cache
def _connection() -> Connection:
    """One DuckDB a worker: opening it takes as long as a small batch."""
    return connect()


def _counted(records: pa.Table, counts_from: Offsets) -> pa.Table:
    for partition, offset in counts_from.items():
        if offset:
            keep = pc.or_(pc.not_equal(records["partition"], partition), pc.greater_equal(records["offset"], offset))
            records = records.filter(keep)
    return records


def to_ipc(table: pa.Table) -> bytes:
    """The table as an Arrow IPC stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue().to_pybytes())


def from_ipc(payload: bytes) -> pa.Table:
    """The table of `to_ipc`."""
    with pa.ipc.open_stream(payload) as reader:
        return reader.read_all()


def spark_schema(schema: pa.Schema) -> StructType:
    """An Arrow schema as Spark's, with every timestamp a UTC instant."""
    return from_arrow_schema(_in_zone(schema, "UTC"), prefer_timestamp_ntz=False)


def map_tables(df: DataFrame, schema: pa.Schema, make: Callable[[pa.RecordBatchReader], pa.Table]) -> DataFrame:
    """Each partition of `df`, as one stream of naive timestamps, through `make`; the results have `schema`."""
    wanted = _in_zone(schema, "UTC")

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        first = next(batches, None)
        if first is None:
            return
        naive = _in_zone(first.schema, None)
        stream = pa.RecordBatchReader.from_batches(naive, (b.cast(naive) for b in _again(first, batches)))
        yield from instants(make(stream)).cast(wanted).to_batches()

    return df.mapInArrow(run, spark_schema(schema))


def map_batches(df: DataFrame, schema: pa.Schema, make: Callable[[pa.Table], pa.Table]) -> DataFrame:
    """Each Arrow batch of `df` by itself through `make`; the results have `schema`. Holds one batch in memory."""
    wanted = _in_zone(schema, "UTC")

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield from instants(make(pa.Table.from_batches([batch]))).cast(wanted).to_batches()

    return df.mapInArrow(run, spark_schema(schema))


def _in_zone(schema: pa.Schema, zone: str | None) -> pa.Schema:
    return pa.schema([pa.field(f.name, retype(f.type, zone)) for f in schema])


def _again(first: pa.RecordBatch, rest: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    yield first
    yield from rest
