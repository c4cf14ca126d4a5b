"""The one SparkSession builder."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from pyspark.sql import SparkSession

from contracts.settings import Settings

_EVERYWHERE = {
    "spark.sql.session.timeZone": "UTC",
    # Hadoop's usual local file system forks a `chmod` for every file; Spark checks the sums of checkpoints itself.
    "spark.hadoop.fs.file.impl": "org.apache.hadoop.fs.RawLocalFileSystem",
    "spark.sql.streaming.checkpointFileManagerClass": (
        "org.apache.spark.sql.execution.streaming.checkpointing.FileSystemBasedCheckpointFileManager"
    ),
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.databricks.delta.properties.defaults.enableDeletionVectors": "false",
    "spark.databricks.delta.properties.defaults.checkpointPolicy": "classic",
    "spark.databricks.delta.snapshotPartitions": "2",
    # A table that is overwritten with nothing, twice, must say the second run too: its commit names the run.
    "spark.databricks.delta.skipRecordingEmptyCommits": "false",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    "spark.log.level": "ERROR",
}
_STREAMING = {
    "spark.sql.streaming.noDataMicroBatches.enabled": "false",
    "spark.sql.streaming.metricsEnabled": "false",
    "spark.sql.adaptive.enabled": "false",
}


def build_session(
    settings: Settings,
    app: str,
    jars: list[Path],
    *,
    streaming: bool = False,
    memory: str = "1g",
    options: dict[str, str] | None = None,
) -> SparkSession:
    """A session with Delta and Kafka on its classpath, tuned for short micro-batches where `streaming`.

    `jars` are local files (`infra.local.jars`); empty where the cluster provides them. `memory` is the driver's heap.
    """
    config = {**_EVERYWHERE, **(_STREAMING if streaming else {}), **(options or {})}
    # Spark's workers must run this interpreter; the session setting of that name comes too late for foreachBatch.
    os.environ["PYSPARK_PYTHON"] = os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
    builder = SparkSession.builder.master(settings.spark_master).appName(app)
    builder = builder.config("spark.driver.memory", memory)
    builder = builder.config("spark.sql.shuffle.partitions", _cores(settings.spark_master))
    if jars:
        builder = builder.config("spark.jars", ",".join(str(jar) for jar in jars))
    for name, value in config.items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


def _cores(master: str) -> int:
    inside = master.partition("[")[2].rstrip("]")
    return int(inside) if inside.isdigit() else 8
