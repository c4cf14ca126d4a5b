"""What the API counts, for Prometheus. Labels are endpoints and status codes: never a caller's own words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

_SECONDS: Final = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


class Metrics:
    """One API's figures, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = Counter(
            "tidemark_api_requests", "Requests answered.", ("endpoint", "status"), registry=self.registry
        )
        self.request_seconds = Histogram(
            "tidemark_api_request_seconds",
            "Seconds to answer a request.",
            ("endpoint",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.refresh_seconds = Histogram(
            "tidemark_api_refresh_seconds",
            "Seconds to take in what was recorded or published since the last time; looks that found nothing aside.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.refresh_failures = Counter(
            "tidemark_api_refresh_failures", "Refreshes that failed, by error.", ("error",), registry=self.registry
        )

    def watch(self, name: str, description: str, value: Callable[[], float]) -> None:
        """Show a figure as `value` says when asked; NaN where it is not known."""
        Gauge(f"tidemark_api_{name}", description, registry=self.registry).set_function(value)
