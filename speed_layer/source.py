"""The stream of records, named: what bronze and live both read from Kafka."""

from __future__ import annotations

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from contracts.names import Offsets
from spark_jobs.stages import dedupe_key
from speed_layer.topics import spark_offsets


def records(spark: SparkSession, bootstrap: str, topic: str, log: int, start: Offsets, most_offsets: int) -> DataFrame:
    """Columns of `fields.BRONZE` without broker_date, from `start` on. A hole or a lost record ends the query."""
    options = {
        "kafka.bootstrap.servers": bootstrap,
        "subscribe": topic,
        "startingOffsets": spark_offsets(topic, start),
        "failOnDataLoss": "true",
        "includeHeaders": "true",
        "maxOffsetsPerTrigger": str(most_offsets),
    }
    read = spark.readStream.format("kafka").options(**options).load()
    return read.select(
        F.lit(log).cast("int").alias("log"),
        "partition",
        "offset",
        F.col("timestamp").alias("broker_time"),
        "key",
        dedupe_key(F.col("headers")).alias("dedupe_key"),
        "value",
        "headers",
    )
