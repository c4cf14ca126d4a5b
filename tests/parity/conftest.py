"""One tuned Spark session for every test of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from contracts.settings import Settings
from infra.local.jars import ensure_jars
from spark_jobs.session import build_session


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """A session as the jobs build it, on both cores."""
    scratch: Path = tmp_path_factory.mktemp("spark")
    options = {"spark.local.dir": str(scratch), "spark.sql.warehouse.dir": str(scratch / "warehouse")}
    session = build_session(Settings(spark_master="local[2]"), "tests", ensure_jars().spark, options=options)
    yield session
    session.stop()
