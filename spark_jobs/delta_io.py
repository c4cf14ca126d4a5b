"""The one place that reads and writes Delta.

Tables stay at reader version 1, so that DuckDB, delta-rs, Polars, Trino and BI tools read them.
"""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
from delta.tables import DeltaTable as SparkDelta
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructField, StructType

from contracts.errors import WarehouseDamaged
from contracts.fields import DESCRIPTIONS
from spark_jobs.stages import spark_schema


def commented(schema: pa.Schema) -> StructType:
    """The schema for Spark, each column with its description."""
    fields = spark_schema(schema).fields
    return StructType([StructField(f.name, f.dataType, metadata={"comment": DESCRIPTIONS[f.name]}) for f in fields])


def create(
    spark: SparkSession,
    path: str,
    schema: pa.Schema,
    description: str,
    partition_by: tuple[str, ...] = (),
) -> None:
    """Create the table with its comments where it is missing."""
    if exists(path):
        return
    builder = SparkDelta.createIfNotExists(spark).location(path).comment(description).addColumns(commented(schema))
    builder.partitionedBy(*partition_by).execute() if partition_by else builder.execute()


def append(df: DataFrame, path: str, metadata: dict[str, Any]) -> None:
    """Append the rows in one commit that carries `metadata`."""
    df.write.format("delta").mode("append").option("userMetadata", json.dumps(metadata)).save(path)


def overwrite(df: DataFrame, path: str, metadata: dict[str, Any]) -> int:
    """Replace the table's rows in one commit that carries `metadata`; gives the new version."""
    writer = df.write.format("delta").mode("overwrite").option("overwriteSchema", "true")
    writer.option("userMetadata", json.dumps(metadata)).save(path)
    return open_table(path).version()


def open_table(path: str, version: int | None = None) -> DeltaTable:
    """The table at a version (None: the newest). Raises `WarehouseDamaged` where it cannot be read."""
    try:
        return DeltaTable(path, version=version)
    except (DeltaError, TableNotFoundError, OSError) as error:
        remedy = "Run `tidemark recover` to go back to the newest run that is whole, then `tidemark nightly`."
        raise WarehouseDamaged(f"Table {path} at version {version} cannot be read: {error}", remedy) from error


def exists(path: str) -> bool:
    """Whether a Delta table lies at `path`."""
    return DeltaTable.is_deltatable(path)


def read(spark: SparkSession, path: str, version: int) -> DataFrame:
    """The table as of `version`."""
    return spark.read.format("delta").option("versionAsOf", version).load(path)
