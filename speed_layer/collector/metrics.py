"""What the collector counts, for Prometheus. Labels are endpoints, reasons and types: never a sender's own words."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable, Sequence
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
)

from speed_layer.collector.answers import Disposition

_ACK_SECONDS: Final = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


class Metrics:
    """One collector's figures, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = Counter(
            "tidemark_collector_requests", "Requests answered.", ("endpoint", "status"), registry=self.registry
        )
        self.events = Counter(
            "tidemark_collector_events",
            "Events by what became of them.",
            ("disposition", "reason", "type"),
            registry=self.registry,
        )
        self.body_bytes = Counter(
            "tidemark_collector_body_bytes", "Bytes of request bodies, decompressed.", registry=self.registry
        )
        self.ack_seconds = Histogram(
            "tidemark_collector_ack_seconds",
            "Seconds from the first record of a request to Kafka's last acknowledgement.",
            buckets=_ACK_SECONDS,
            registry=self.registry,
        )
        self.in_flight_requests = Gauge(
            "tidemark_collector_in_flight_requests", "Requests being answered.", registry=self.registry
        )
        self.kafka_errors = Counter(
            "tidemark_collector_kafka_errors", "Records that Kafka did not take.", ("code",), registry=self.registry
        )

    def watch_queue(self, length: Callable[[], int]) -> None:
        """Show the number of records sent and not yet acknowledged, as `length` says when asked."""
        gauge = Gauge(
            "tidemark_collector_in_flight_records",
            "Records sent to Kafka and not yet acknowledged.",
            registry=self.registry,
        )
        gauge.set_function(length)

    def count_events(self, dispositions: Sequence[Disposition], call_types: Sequence[str]) -> None:
        """Count a request's events."""
        tally = Tally(
            (d.status, d.reason or "", call_type) for d, call_type in zip(dispositions, call_types, strict=True)
        )
        for labels, count in tally.items():
            self.events.labels(*labels).inc(count)
