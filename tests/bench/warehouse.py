"""The nightly build over `days` of simulated events, then merged queries with the last day still in the store.

Everything goes the real way: entrance, Kafka, bronze and live, nightly. Only the last query part holds both halves.
"""

from __future__ import annotations

import json
import sys
import time
from itertools import cycle, islice
from typing import Any

import psutil

import serving
from contracts.names import covers
from infra.installation import environment
from infra.local.processes import spawn
from tests.bench.catchup import reached
from tests.bench.feed import feed
from tests.bench.stack import Stack, ends, rss_of, stack

# What a dashboard asks, over everything and over the last hour or day: it knows the time, and writes it out.
QUERIES = {
    "traffic": "SELECT * FROM traffic WHERE minute > TIMESTAMP '{now}' - INTERVAL 1 HOUR",
    "traffic_day": "SELECT * FROM traffic_day ORDER BY day",
    "products": "SELECT product_id, sum(views) AS views, sum(revenue_minor) AS revenue_minor FROM products "
    "WHERE hour > TIMESTAMP '{now}' - INTERVAL 1 DAY GROUP BY ALL ORDER BY ALL LIMIT 20",
    "products_all": "SELECT product_id, sum(views) AS views, sum(revenue_minor) AS revenue_minor FROM products "
    "GROUP BY ALL ORDER BY revenue_minor DESC LIMIT 20",
    "session_stats": "SELECT * FROM session_stats ORDER BY hour",
    "funnel": "SELECT * FROM funnel ORDER BY day, step",
    "channels": "SELECT * FROM channels ORDER BY ALL",
    "channel_revenue": "SELECT * FROM channel_revenue ORDER BY ALL",
    "devices_without_bots": "SELECT * FROM without_bots.devices ORDER BY ALL",
}


def run(events: int = 1_000_000, days: int = 30, rounds: int = 200, queries: int = 1) -> dict[str, Any]:
    """`events` over `days`: the nightly run of all but the last day, then `rounds` of each query over all."""
    with stack() as s:
        held = 1 - 1 / days
        began = time.monotonic()
        feed(s, events, days, 0, held)
        fed = time.monotonic()
        s.start("live")
        s.start("bronze")
        _await(s)
        figures: dict[str, Any] = {
            "events": events,
            "days": days,
            "feed_seconds": round(fed - began, 1),
            "catch_up_seconds": round(time.monotonic() - fed, 1),
            "nightly": _nightly(s),
        }
        feed(s, events, days, held, 1)
        _await(s)
        if queries:
            figures["queries"] = _asked(s, rounds)
    return figures


def _await(s: Stack) -> None:
    """Until live and bronze have all that Kafka holds."""
    target = ends(s.settings)
    while not all(covers(reached(s, name), target) for name in ("live", "bronze")):
        time.sleep(0.2)


def _nightly(s: Stack) -> dict[str, Any]:
    out = s.settings.home / "nightly.json"
    began, most = time.monotonic(), 0
    with out.open("wb") as file:
        argv = [sys.executable, "-m", "infra.cli", "nightly", "--json"]
        process = spawn(argv, env=environment(s.settings), stdout=file, stderr=None)
        watched = psutil.Process(process.pid)
        while process.poll() is None:
            most = max(most, rss_of(watched))
            time.sleep(0.25)
    if process.returncode:
        raise RuntimeError(f"nightly ended with {process.returncode}")
    said = json.loads(out.read_text())
    return {
        "seconds": round(time.monotonic() - began, 1),
        "peak_rss_mib": round(most / 2**20),
        "by_step": {name: round(seconds, 1) for name, seconds in said["seconds"].items()},
    }


def _asked(s: Stack, rounds: int) -> dict[str, Any]:
    began = time.monotonic()
    with serving.connect(s.settings) as tm:
        found: dict[str, Any] = {
            "connect_seconds": round(time.monotonic() - began, 2),
            "rss_mib": round(psutil.Process().memory_info().rss / 2**20),
        }
        now = tm.sql("SELECT max(start_at) AS now FROM sessions")["now"][0].as_py()
        asked = {name: sql.format(now=now) for name, sql in QUERIES.items()}
        spent: dict[str, list[float]] = {name: [] for name in asked}
        for name, sql in islice(cycle(asked.items()), rounds * len(asked)):
            at = time.perf_counter()
            rows = tm.sql(sql).num_rows
            spent[name].append(time.perf_counter() - at)
            if not rows:
                raise RuntimeError(f"{name} gave no rows")
    return found | {
        name: {f"p{q}_ms": round(1000 * sorted(of_it)[int(len(of_it) * q / 100)], 1) for q in (50, 99)}
        for name, of_it in spent.items()
    }
