"""A gap of exactly the limit joins: in Spark's own session window as in the algebra and by hand (tests/laws)."""

from __future__ import annotations

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from tests.laws.sessions import GAP_SECONDS, cases, expected

pytestmark = pytest.mark.spark


def test_cases_in_sparks_session_window(spark: SparkSession) -> None:
    visitors, moments = zip(*cases(), strict=True)
    events = spark.createDataFrame(pa.table({"visitor": visitors, "moment": pa.array(moments, pa.int64())}))
    window = F.session_window(F.timestamp_micros("moment"), f"{GAP_SECONDS} seconds")
    counted = events.groupBy("visitor", window).agg(F.min("moment"), F.max("moment"), F.count("*"))
    sessions = counted.drop("session_window")
    assert sorted(tuple(row) for row in sessions.collect()) == expected()
