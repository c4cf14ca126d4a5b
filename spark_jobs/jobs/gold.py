"""Build gold: each measure's partials of silver, combined; then each derived table of its entities."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from contracts.algebra import Algebra, connect
from contracts.fields import EVENT
from contracts.measures import QUALITY
from contracts.settings import Settings
from spark_jobs import delta_io
from spark_jobs.jobs.seal import check_rules
from spark_jobs.jobs.silver import EVENTS
from spark_jobs.stages import map_tables
from speed_layer import failpoints
from speed_layer.store.runs import Runs

_WORKER_MEMORY = "1GB"
# A table of a small shop is one short Spark job after another; side by side they fill the cores.
_SIDE_BY_SIDE = 3


def build_gold(
    spark: SparkSession,
    settings: Settings,
    run_id: str,
    only: tuple[str, ...] = (),
    built: Callable[[str], None] = lambda _: None,
) -> None:
    """Build the gold tables of a run (or `only` some, entities before what is derived from them)."""
    algebra = Algebra.of(settings.rules)
    check_rules(settings, Runs(settings).cut(run_id))

    def build(name: str) -> None:
        build_table(spark, settings, algebra, run_id, name)
        built(name)

    for tier in (algebra.measures, algebra.derived):
        wanted = [n for n in table_names(algebra) if n in tier and (not only or n in only)]
        with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
            list(pool.map(build, wanted))


def table_names(algebra: Algebra) -> list[str]:
    """Gold tables in an order in which they can be built."""
    return [*(m for m in algebra.measures if m != QUALITY.name), *algebra.derived]


def build_table(spark: SparkSession, settings: Settings, algebra: Algebra, run_id: str, name: str) -> None:
    """Build one gold table from this run's own silver or entities."""
    runs = Runs(settings)
    cut, tables = runs.cut(run_id), runs.tables(run_id)
    schema = algebra.empty(connect(), name).schema
    if name in algebra.measures:
        silver = delta_io.read(spark, settings.table_path(EVENTS), tables[EVENTS]["version"])
        df = measure(silver.where("status = 'good'").select(EVENT.names), settings.rules, name, schema)
        description = algebra.measures[name].description
    else:
        source = f"gold.{algebra.derived[name].source}"
        entities = delta_io.read(spark, settings.table_path(source), tables[source]["version"])
        df = derived(entities, settings.rules, name, schema)
        description = algebra.derived[name].description
    metadata: dict[str, Any] = {"run_id": run_id, "cut": cut.offsets, "semantics_hash": cut.semantics_hash}
    path = settings.table_path(f"gold.{name}")
    delta_io.create(spark, path, schema, description)
    version = delta_io.overwrite(df, path, metadata)
    failpoints.reach("gold.written")
    rows = delta_io.open_table(path, version).count()
    runs.write_table(run_id, f"gold.{name}", version, rows)


def measure(events: DataFrame, rules: dict[str, str], name: str, schema: pa.Schema) -> DataFrame:
    """A measure of good events: partials of each partition, then combined by key."""
    keys = Algebra.of(rules).measures[name].keys
    parts = map_tables(events, schema, lambda stream: Algebra.of(rules).partial(_con(), name, stream))
    spread = keys[:1] if Algebra.of(rules).measures[name].entity else keys
    combined = map_tables(
        parts.repartition(*spread),
        schema,
        lambda stream: Algebra.of(rules).combine(_con(), name, [stream.read_all()]),
    )
    return combined.sortWithinPartitions(*keys)


def derived(entities: DataFrame, rules: dict[str, str], name: str, schema: pa.Schema) -> DataFrame:
    """A derived table: integer sums of each partition's whole entities, summed."""
    declared = Algebra.of(rules).derived[name]
    entity = Algebra.of(rules).measures[declared.source].entity
    parts = map_tables(
        entities.repartition(F.col(str(entity))),
        schema,
        lambda stream: Algebra.of(rules).derive(_con(), name, stream.read_all()),
    )
    sums = [F.sum(c).alias(c) for c in schema.names if c not in declared.keys]
    summed = parts.groupBy(*declared.keys).agg(*sums).select(schema.names)
    return summed.coalesce(1).sortWithinPartitions(*declared.keys)


def _con() -> Any:
    return connect(memory=_WORKER_MEMORY)
