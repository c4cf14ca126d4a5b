"""The transforms as Spark stages: functions over iterators of Arrow batches, for `mapInArrow`.

They run in Spark's Python workers, so what they need travels as plain values and is built once a task.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema
from pyspark.sql.types import StructType

from contracts.algebra import Algebra, connect, instants, retype
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


def unique_key() -> Column:
    """The deduplication key, else one of the record's own: what the entrance did not stamp is never a copy."""
    own = F.concat_ws(":", "log", "partition", "offset").cast("binary")
    return F.coalesce(F.when(F.length("dedupe_key") == 16, F.col("dedupe_key")), own)  # noqa: PLR2004 - bytes of a key


def partials_stage(rules: Mapping[str, str], counts_from: Offsets) -> Stage:
    """Records to (name, payload): each measure's partials, the quality counts, the rejected and the times received.

    Records below `counts_from` warm the deduplication up and count for nothing. Payloads are Arrow IPC streams.
    """

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        held = list(batches)
        records = _counted(pa.Table.from_batches(held).cast(RECORD), counts_from) if held else RECORD.empty_table()
        if records.num_rows == 0:
            return
        result = outcome(records, rules)
        tables = Algebra.of(rules).partials(connect(), result.events) | {QUALITY.name: result.quality}
        tables |= {REJECTED: result.rejected, RECEIVED: result.events.select(["received_at", "broker_time"])}
        kept = {name: table for name, table in tables.items() if table.num_rows}
        yield pa.record_batch([list(kept), [to_ipc(t) for t in kept.values()]], names=["name", "payload"])

    return run


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
    fields = [pa.field(f.name, retype(f.type, "UTC")) for f in schema]
    return from_arrow_schema(pa.schema(fields), prefer_timestamp_ntz=False)


def map_tables(df: DataFrame, schema: pa.Schema, make: Callable[[pa.RecordBatchReader], pa.Table]) -> DataFrame:
    """Each partition of `df`, as one stream of naive timestamps, through `make`; the results have `schema`."""
    wanted = pa.schema([pa.field(f.name, retype(f.type, "UTC")) for f in schema])

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        first = next(batches, None)
        if first is None:
            return
        naive = pa.schema([pa.field(f.name, retype(f.type, None)) for f in first.schema])
        stream = pa.RecordBatchReader.from_batches(naive, (b.cast(naive) for b in _again(first, batches)))
        yield from instants(make(stream)).cast(wanted).to_batches()

    return df.mapInArrow(run, spark_schema(schema))


def _again(first: pa.RecordBatch, rest: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    yield first
    yield from rest
