"""Sustained reading of a backlog: events/s and CPU-seconds per million, start-up of the JVM left out.

The clock runs from the first commit to the last, so what is measured is the steady state; the first batch warms up.
"""

from __future__ import annotations

import time
from typing import Any

from contracts.names import covers, load_offsets, span
from speed_layer.replay import open_source
from speed_layer.replay.pump import Pump
from speed_layer.secret import installation_secret
from speed_layer.store.delta_log import commits
from tests.bench.stack import Stack, ends, stack


def run(events: int = 2_000_000, together: int = 1, batch: int = 60_000) -> dict[str, Any]:
    """Live alone, then (with `together`) bronze and live together on a fresh stack."""
    figures: dict[str, Any] = {"events": events}
    for names in [("live",), ("live", "bronze")][: 1 + together]:
        with stack(live_max_offsets=batch) as s:
            began = time.monotonic()
            source = open_source(f"sim:days=2,events_target={events}")
            counts = Pump(s.settings.bootstrap, installation_secret(s.settings.home)).run(source.messages())
            figures["produce_events_per_second"] = round(sum(counts.values()) / (time.monotonic() - began))
            figures["+".join(names)] = read(s, names)
    return figures


def read(s: Stack, names: tuple[str, ...]) -> dict[str, float]:
    """Start these queries and measure from their first commit to the last."""
    target = ends(s.settings)
    for name in names:
        s.start(name)
    while not all(any(reached(s, n).values()) for n in names):
        time.sleep(0.1)
    first, at, cpu = {n: reached(s, n) for n in names}, time.monotonic(), s.cpu_seconds(*names)
    while not all(covers(reached(s, n), target) for n in names):
        time.sleep(0.1)
    seconds, cpu = time.monotonic() - at, s.cpu_seconds(*names) - cpu
    read = min(span(first[n], target) for n in names)
    return {
        "events_measured": read,
        "seconds": round(seconds, 2),
        "events_per_second": round(read / seconds),
        "cpu_seconds_per_million": round(cpu / read * 1e6, 1),
        "rss_mib": round(s.rss_bytes(*names) / 2**20),
    }


def reached(s: Stack, name: str) -> dict[int, int]:
    """What `live` or `bronze` has committed."""
    if name == "live":
        return s.reached()
    newest = next(commits(s.settings.table_path("bronze.events")), None)
    return load_offsets(newest.metadata["to"]) if newest else {}
