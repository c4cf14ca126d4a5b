"""The reports of a run: what arrived in what state, and which past days it restates."""

from __future__ import annotations

import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from contracts.errors import RunInvalid
from contracts.kinds import CUSTOM
from contracts.reports import DATA_QUALITY, RESTATEMENTS, Report
from contracts.settings import Settings
from spark_jobs import delta_io
from spark_jobs.jobs.seal import BRONZE
from spark_jobs.jobs.silver import EVENTS, QUALITY, below, duplicates
from spark_jobs.stages import spark_schema
from speed_layer.store import Store
from speed_layer.store.runs import Manifest, RunCut, Runs

_MINUTE_MS, _HOUR_MS, _DAY_MS = 60_000, 3_600_000, 86_400_000


def build_reports(spark: SparkSession, settings: Settings, store: Store, run_id: str) -> None:
    """Build both reports of a run whose silver and gold are there; it restates the run that is published now.

    Raises `RunInvalid` where the quality report does not add up to the accounts of the run.
    """
    runs = Runs(settings)
    cut, tables = runs.cut(run_id), runs.tables(run_id)
    silver = delta_io.read(spark, settings.table_path(EVENTS), tables[EVENTS]["version"])
    bronze = below(delta_io.read(spark, settings.table_path(BRONZE), cut.bronze_version), cut)
    quality = data_quality(silver, bronze).persist()
    accounts = delta_io.read(spark, settings.table_path(QUALITY), tables[QUALITY]["version"])
    _check(quality, accounts)
    _write(spark, settings, cut, DATA_QUALITY, quality)
    quality.unpersist()
    with store.read() as reader:
        pointer = reader.pointer()
    previous = runs.manifest(pointer.run_id) if pointer else None
    changed = restatements(spark, settings, run_id, previous, {n: t["version"] for n, t in tables.items()})
    _write(spark, settings, cut, RESTATEMENTS, changed)


def data_quality(silver: DataFrame, bronze: DataFrame) -> DataFrame:
    """`DATA_QUALITY` of a run's silver and of its part of bronze, which alone knows the copies."""
    marked = silver.join(_synthetic(silver), ["log", "partition", "offset"], "left")
    is_good = F.col("status") == "good"
    late = F.col("lateness_ms")
    counted = {
        "good": is_good,
        "duplicates": F.lit(False),
        "rejected": F.col("status") == "rejected",
        "no_consent": F.col("status") == "no_consent",
        "synthetic": is_good & F.col("is_later").isNotNull(),
        "custom_events": is_good & (F.col("kind") == CUSTOM),
        "broken_contracts": is_good & (F.size("findings") > 0),
        "declared_bots": is_good & F.col("is_declared_bot"),
        "clock_faults": is_good & F.col("clock_fault").isNotNull(),
        "on_time": is_good & (late < _MINUTE_MS),
        "late_minutes": is_good & (late >= _MINUTE_MS) & (late < _HOUR_MS),
        "late_hours": is_good & (late >= _HOUR_MS) & (late < _DAY_MS),
        "late_days": is_good & (late >= _DAY_MS),
        "lateness_unknown": is_good & late.isNull(),
        "without_user": is_good & F.col("user_id").isNull(),
        "without_device": is_good & F.col("device_class").isNull(),
        "without_country": is_good & F.col("country").isNull(),
        "without_product": is_good & F.col("kind").isin("view", "cart") & F.col("product_id").isNull(),
        "without_value": is_good & F.col("kind").isin("purchase", "refund") & F.col("value_minor").isNull(),
    }
    arrived = _counted(marked, "sender", counted)
    copies = bronze.join(duplicates(bronze), ["log", "partition", "offset"], "left_semi")
    sender = F.get_json_object(F.col("value").cast("string"), "$.source")
    copied = _counted(copies.withColumn("sender", sender), "sender", {n: F.lit(n == "duplicates") for n in counted})
    sums = [F.sum(name).alias(name) for name in ("records", *counted)]
    return arrived.unionByName(copied).groupBy("hour", "sender").agg(*sums).select(DATA_QUALITY.schema.names)


def restatements(
    spark: SparkSession, settings: Settings, run_id: str, previous: Manifest | None, versions: dict[str, int]
) -> DataFrame:
    """`RESTATEMENTS`: earlier runs' rows, and this one's against `previous`: days that had ended at its seal."""
    empty = spark.createDataFrame([], spark_schema(RESTATEMENTS.schema))
    if previous is None:
        return empty
    older = previous.tables.get(RESTATEMENTS.table)
    kept = delta_io.read(spark, settings.table_path(RESTATEMENTS.table), older) if older is not None else empty
    # A table that the earlier run's code did not know has no days to restate.
    known = {name: version for name, version in versions.items() if name in previous.tables}
    before = _days(spark, settings, {name: previous.tables[name] for name in known})
    after = _days(spark, settings, known)
    if before is None or after is None:
        return kept
    before, after = before.withColumnRenamed("amount", "before"), after.withColumnRenamed("amount", "after")
    both = [before[name].eqNullSafe(after[name]) for name in ("day", "measure", "currency")]
    named = [F.coalesce(before[name], after[name]).alias(name) for name in ("day", "measure", "currency")]
    values = [F.coalesce(name, F.lit(0)).cast("bigint").alias(name) for name in ("before", "after")]
    ended = F.date_trunc("day", F.lit(previous.cut.sealed_at).cast("timestamp"))
    rows = before.join(after, both, "full").select(*named, *values).withColumn("change", F.expr("after - before"))
    rows = rows.where((F.col("change") != 0) & (F.col("day") < ended))
    rows = rows.withColumn("run_id", F.lit(run_id)).withColumn("previous_run_id", F.lit(previous.cut.run_id))
    names = RESTATEMENTS.schema.names
    return kept.select(names).unionByName(rows.select(names))


def _days(spark: SparkSession, settings: Settings, versions: dict[str, int]) -> DataFrame | None:
    """Every measure of the ledger by day and currency (null where it has none), out of gold at these versions."""
    sources = {
        "traffic_minute": ("minute", {"events": "events"}, None),
        "session_stats": ("hour", {"sessions": "sessions"}, None),
        "visitors_day": ("day", {"visitors": "visitors"}, None),
        "order_stats": ("minute", {"orders": "orders", "gross_minor": "gross_minor"}, "currency"),
        "refund_stats": ("minute", {"refunds": "refunds", "refunded_minor": "refunded_minor"}, "currency"),
    }
    found: DataFrame | None = None
    for table, (time, measures, currency) in sources.items():
        if f"gold.{table}" not in versions:
            continue
        read = delta_io.read(spark, settings.table_path(f"gold.{table}"), versions[f"gold.{table}"])
        money = F.col(currency) if currency else F.lit(None).cast("string")
        keyed = read.select(F.date_trunc("day", time).alias("day"), money.alias("currency"), *measures)
        for measure in measures:
            rows = keyed.groupBy("day", "currency").agg(F.sum(measure).alias("amount"))
            rows = rows.withColumn("measure", F.lit(measure))
            found = rows if found is None else found.unionByName(rows)
    return found


def _synthetic(silver: DataFrame) -> DataFrame:
    """Names of good events whose event_id an earlier good event has, too."""
    place = F.struct("log", "partition", "offset")
    good = silver.where("status = 'good'").select("log", "partition", "offset", "event_id")
    first = good.groupBy("event_id").agg(F.min(place).alias("first"), F.count("*").alias("times")).where("times > 1")
    later = good.join(first, "event_id").where(place != F.col("first"))
    return later.select("log", "partition", "offset", F.lit(True).alias("is_later"))


def _counted(rows: DataFrame, sender: str, counted: dict[str, Column]) -> DataFrame:
    hour = F.date_trunc("hour", "broker_time").alias("hour")
    counts = [F.sum(F.coalesce(condition, F.lit(False)).cast("bigint")).alias(n) for n, condition in counted.items()]
    return rows.groupBy(hour, F.col(sender).alias("sender")).agg(F.count("*").alias("records"), *counts)


def _check(quality: DataFrame, accounts: DataFrame) -> None:
    held = accounts.groupBy("status").agg(F.sum("rows").alias("rows")).collect()
    columns = {"good": "good", "duplicate": "duplicates", "rejected": "rejected", "no_consent": "no_consent"}
    (sums,) = quality.agg(*[F.coalesce(F.sum(c), F.lit(0)).alias(c) for c in columns.values()]).collect()
    expected = {columns[row["status"]]: row["rows"] for row in held}
    found = {c: sums[c] for c in columns.values() if sums[c]}
    if found != {c: rows for c, rows in expected.items() if rows}:
        raise RunInvalid(f"The quality report counts {found}, the run's accounts {expected}", "Report this.")


def _write(spark: SparkSession, settings: Settings, cut: RunCut, report: Report, rows: DataFrame) -> None:
    path = settings.table_path(report.table)
    schema: pa.Schema = report.schema
    delta_io.create(spark, path, schema, report.description)
    metadata = {"run_id": cut.run_id, "cut": cut.offsets, "semantics_hash": cut.semantics_hash}
    version = delta_io.overwrite(rows.coalesce(1).sortWithinPartitions(*report.keys), path, metadata)
    Runs(settings).write_table(cut.run_id, report.table, version, delta_io.open_table(path, version).count())
