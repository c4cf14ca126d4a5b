"""What the two streaming queries show of themselves, as Prometheus metrics."""

from __future__ import annotations

import time

import pyarrow as pa
import pyarrow.compute as pc
from prometheus_client import Counter, Gauge, Histogram

from contracts.names import Offsets, span
from speed_layer.checkpoint import BatchRange

_SECONDS = (0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 30, 60, 300)


class QueryMetrics:
    """Of any query that reads the topic: rows, lag per partition, phases of a batch."""

    def __init__(self, query: str) -> None:
        prefix = f"tidemark_{query}"
        self.rows = Counter(f"{prefix}_records", "Records read from Kafka.")
        self.batches = Counter(f"{prefix}_batches", "Micro-batches, by what became of them.", ["outcome"])
        self.lag = Gauge(f"{prefix}_lag_records", "Records in Kafka that are not committed yet.", ["partition"])
        self.offset = Gauge(f"{prefix}_committed_offset", "Exclusive end of what is committed.", ["partition"])
        self.phase = Histogram(
            f"{prefix}_phase_seconds", "Seconds of a micro-batch by phase.", ["phase"], buckets=_SECONDS
        )
        self.batch_time = Gauge(f"{prefix}_last_batch_timestamp_seconds", "Clock of the last micro-batch.")

    def committed(self, extent: BatchRange, outcome: str) -> None:
        """A micro-batch is committed."""
        self.rows.inc(span(extent.start, extent.end))
        self.batches.labels(outcome).inc()
        self.batch_time.set(extent.time_ms / 1000)
        for partition, end in extent.end.items():
            self.offset.labels(partition).set(end)

    def behind(self, ends: Offsets, committed: Offsets) -> None:
        """How far Kafka's ends are ahead of what is committed."""
        for partition, end in ends.items():
            self.lag.labels(partition).set(max(0, end - committed.get(partition, 0)))

    def phases(self, **seconds: float) -> None:
        """Seconds by phase of the last micro-batch."""
        for phase, value in seconds.items():
            self.phase.labels(phase).observe(value)


class LiveMetrics(QueryMetrics):
    """Of the live query: also what became of the records, and how old events are when they can be seen."""

    def __init__(self) -> None:
        super().__init__("live")
        self.status = Counter("tidemark_live_status", "Records by status and reason.", ["status", "reason"])
        self.visible = Histogram(
            "tidemark_event_to_visible_seconds",
            "From the entrance's stamp to the commit that makes an event visible.",
            buckets=_SECONDS,
        )
        self.seen_bytes = Gauge("tidemark_live_seen_bytes", "What the memory of copies takes on disk.")

    def batch(self, extent: BatchRange, quality: pa.Table, received: pa.Table | None, outcome: str) -> None:
        """A micro-batch is committed; `received` holds the stamps of its events."""
        self.committed(extent, outcome)
        if outcome != "written":
            return
        for row in quality.to_pylist():
            self.status.labels(row["status"], row["reason"]).inc(row["rows"])
        if received is not None:
            now_us = time.time_ns() // 1000
            ages = pc.divide(pc.subtract(now_us, received["received_at"].cast(pa.int64())), 1_000_000.0)
            for age in ages.to_pylist():
                self.visible.observe(age)
