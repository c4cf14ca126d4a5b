"""Build silver: bronze below the cut, deduplicated over the whole history and parsed; every record accounted for."""

from __future__ import annotations

from functools import reduce
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from contracts.algebra import QUALITY_SCHEMA
from contracts.errors import RunInvalid
from contracts.settings import Settings
from spark_jobs import delta_io
from spark_jobs.jobs.seal import BRONZE, check_rules
from spark_jobs.stages import map_batches, spark_schema
from spark_jobs.transforms.batches import RECORD, SILVER, silver_rows
from speed_layer import failpoints
from speed_layer.store.runs import RunCut, Runs

EVENTS = "silver.events"
QUALITY = "gold.quality"
_NAME = ["log", "partition", "offset"]


def build_silver(spark: SparkSession, settings: Settings, run_id: str) -> None:
    """Build `silver.events` and `gold.quality` of a sealed run. Raises `RunInvalid` where it does not add up."""
    runs = Runs(settings)
    cut = runs.cut(run_id)
    check_rules(settings, cut)
    metadata = {"run_id": run_id, "cut": cut.offsets, "semantics_hash": cut.semantics_hash}
    bronze = below(delta_io.read(spark, settings.table_path(BRONZE), cut.bronze_version), cut)
    copies = duplicates(bronze).persist()
    unique = bronze.select(RECORD.names).join(copies, _NAME, "left_anti")
    rules = settings.rules
    rows = map_batches(unique.select(RECORD.names), SILVER, lambda records: silver_rows(records.cast(RECORD), rules))
    path = settings.table_path(EVENTS)
    delta_io.create(spark, path, SILVER, "Every record below the cut once, by what became of it.", ("status",))
    version = delta_io.overwrite(rows, path, metadata)
    _write_quality(spark, settings, cut, bronze, copies, version, metadata)
    failpoints.reach("silver.written")
    runs.write_table(run_id, EVENTS, version, delta_io.open_table(path, version).count())
    copies.unpersist()


def below(bronze: DataFrame, cut: RunCut) -> DataFrame:
    """The records of the run: this log's below the cut, and all of earlier logs."""
    inside = [(F.col("partition") == p) & (F.col("offset") < o) for p, o in cut.offsets.items()]
    mine: Column = reduce(lambda a, b: a | b, inside, F.lit(False))
    return bronze.where((F.col("log") < cut.log) | ((F.col("log") == cut.log) & mine))


def duplicates(bronze: DataFrame) -> DataFrame:
    """Names of the records that are later copies: of equal keys, the lowest name is kept."""
    keyed = bronze.where(F.length("dedupe_key") == 16).select(*_NAME, "dedupe_key")  # noqa: PLR2004 - bytes of a key
    named = F.struct(*_NAME)
    first = keyed.groupBy("dedupe_key").agg(F.min(named).alias("first"), F.count("*").alias("copies"))
    repeated = first.where("copies > 1").select("dedupe_key", "first")
    return keyed.join(repeated, "dedupe_key").where(named != F.col("first")).select(_NAME)


def _write_quality(
    spark: SparkSession,
    settings: Settings,
    cut: RunCut,
    bronze: DataFrame,
    copies: DataFrame,
    silver_version: int,
    metadata: dict[str, Any],
) -> None:
    keys = ["log", "partition", "status", "reason"]
    silver = delta_io.read(spark, settings.table_path(EVENTS), silver_version)
    sorted_out = silver.select("log", "partition", "status", F.coalesce("reason", F.lit("")).alias("reason"))
    copied = copies.select("log", "partition", F.lit("duplicate").alias("status"), F.lit("").alias("reason"))
    counted = sorted_out.unionByName(copied).groupBy(keys).agg(F.count("*").alias("rows"))
    quality = [row.asDict() for row in counted.collect()]
    check_accounting(cut, bronze, quality)
    path = settings.table_path(QUALITY)
    delta_io.create(spark, path, QUALITY_SCHEMA, "What became of every record, by partition, status and reason.")
    table = spark.createDataFrame(quality, spark_schema(QUALITY_SCHEMA)).coalesce(1)
    Runs(settings).write_table(cut.run_id, QUALITY, delta_io.overwrite(table, path, metadata), len(quality))


def check_accounting(cut: RunCut, bronze: DataFrame, quality: list[dict[str, Any]]) -> None:
    """Every offset below the cut is in bronze exactly once and became exactly one thing. Raises `RunInvalid`."""
    held = bronze.groupBy("log", "partition").agg(
        F.count("*").alias("rows"),
        F.countDistinct("offset").alias("offsets"),
        (F.max("offset") + 1).alias("end"),
    )
    found = held.collect()
    for row in found:
        where = f"log {row['log']} partition {row['partition']}"
        end = cut.offsets[row["partition"]] if row["log"] == cut.log else row["end"]
        became = sum(q["rows"] for q in quality if (q["log"], q["partition"]) == (row["log"], row["partition"]))
        if not row["rows"] == row["offsets"] == end == became:
            raise RunInvalid(
                f"{where}: {end} offsets, but {row['rows']} rows, {row['offsets']} distinct, {became} accounted for",
                "Bronze is damaged: remove its checkpoint and table so that it is read again from Kafka.",
            )
    present = {row["partition"] for row in found if row["log"] == cut.log}
    missing = [p for p, o in cut.offsets.items() if o and p not in present]
    if missing:
        raise RunInvalid(f"Bronze holds nothing of partitions {missing}", "Read them again from Kafka.")
