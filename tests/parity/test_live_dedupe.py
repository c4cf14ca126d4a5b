"""Live keeps the same copy as batch: the lowest offset, among thousands of copies and in every micro-batch."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import DataFrame, SparkSession

from spark_jobs.jobs.silver import duplicates
from spark_jobs.stages import spark_schema
from spark_jobs.transforms.batches import RECORD
from speed_layer.seen import Seen, Server, firsts
from tests.worlds import LOG, unique

pytestmark = pytest.mark.spark
PARTITIONS, BATCHES, ROWS = 2, 4, 1500
Name = tuple[int, int, int]


@pytest.fixture(scope="module")
def log() -> pa.Table:
    """Records of few keys, most of them copies; some keys are not ours, and those are never copies."""
    chance = random.Random(20240301)
    rows = []
    for partition in range(PARTITIONS):
        for offset in range(BATCHES * ROWS):
            number = chance.randrange(offset // 20 + 5)
            key = f"{partition}:{number}".encode().ljust(16, b".")
            kept = chance.choice([key] * 30 + [key[:15], key + b"!", None])
            place = {"log": LOG, "partition": partition, "offset": offset}
            rows.append({**place, "dedupe_key": kept, "value": str(offset).encode()})
    return pa.Table.from_pylist(rows, RECORD)


def names(table: pa.Table) -> list[Name]:
    columns = (table[name].to_pylist() for name in ("log", "partition", "offset"))
    return sorted(zip(*columns, strict=True))


def test_batch_keeps_the_lowest_offset(spark: SparkSession, log: pa.Table) -> None:
    copies = duplicates(spark.createDataFrame(log))
    assert sorted(tuple(row) for row in copies.collect()) == names(unique(log)[1])


def test_live_keeps_the_lowest_offset(spark: SparkSession, log: pa.Table, tmp_path: Path) -> None:
    assert names(streamed(spark, log, tmp_path)) == names(unique(log)[0])


def streamed(spark: SparkSession, log: pa.Table, folder: Path) -> pa.Table:
    """What live's deduplication lets through. A micro-batch is a file, hence a task, for each partition."""
    (folder / "log").mkdir()
    for batch in range(BATCHES):
        for partition in range(PARTITIONS):
            rows = log.slice(partition * BATCHES * ROWS + batch * ROWS, ROWS)
            file = folder / "log" / f"{batch}-{partition}.parquet"
            pq.write_table(rows, file)
            os.utime(file, (1_700_000_000 + batch, 1_700_000_000 + batch))
    records = spark.readStream.schema(spark_schema(RECORD)).option("maxFilesPerTrigger", PARTITIONS)
    seen, kept = Seen(folder / "seen", 3600), []
    first = firsts(Server(seen).address)

    def filtered(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield from first(pa.Table.from_batches([batch]).cast(RECORD)).to_batches()

    def keep(batch: DataFrame, number: int) -> None:
        seen.begin(1_700_000_000_000 + number)
        once = batch.mapInArrow(filtered, spark_schema(RECORD)).toArrow()
        again = batch.mapInArrow(filtered, spark_schema(RECORD)).toArrow()
        assert names(once) == names(again), "a micro-batch that runs again keeps the same records"
        kept.append(once)

    writer = records.parquet(str(folder / "log")).writeStream.foreachBatch(keep)
    query = writer.option("checkpointLocation", str(folder / "checkpoint")).trigger(availableNow=True).start()
    query.awaitTermination()
    assert len(kept) >= BATCHES
    return pa.concat_tables(kept)
