"""What enrichment costs live: the same backlog read with and without it, in pairs, one after the other.

The machines are noisy, so what counts is the ratio within a pair; its median is the figure.
"""

from __future__ import annotations

from statistics import median
from typing import Any

from tests.bench.catchup import read
from tests.bench.feed import feed
from tests.bench.stack import stack
from tests.worlds import GEO


def run(events: int = 500_000, pairs: int = 3, batch: int = 60_000) -> dict[str, Any]:
    """`pairs` of runs over `events` simulated events; shares are of the throughput and CPU without enrichment."""
    runs = [{state: _read(state, events, batch) for state in ("off", "on")} for _ in range(pairs)]
    lost = [1 - run["on"]["events_per_second"] / run["off"]["events_per_second"] for run in runs]
    cpu = [run["on"]["cpu_seconds_per_million"] / run["off"]["cpu_seconds_per_million"] - 1 for run in runs]
    return {
        "events": events,
        "pairs": runs,
        "share_of_throughput": round(median(lost), 3),
        "more_cpu": round(median(cpu), 3),
    }


def _read(state: str, events: int, batch: int) -> dict[str, float]:
    with stack(live_max_offsets=batch, enrichment=state, geo_database=GEO) as s:
        feed(s, events, 2, 0, 1)
        return read(s, ("live",))
