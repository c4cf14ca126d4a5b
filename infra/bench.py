"""`tidemark bench NAME`: the benchmarks of tests/bench. Each is a module with `run(**options) -> dict`."""

from __future__ import annotations

import importlib
import platform
from datetime import UTC, datetime
from typing import Any

import psutil

from contracts.errors import SettingInvalid

BENCHES = {
    "latency": "event -> visible in the merged answer at 2,000 events/s, open loop",
    "catchup": "sustained reading of a backlog: live alone, then bronze and live together",
    "warehouse": "the nightly build of simulated events, then merged queries with the last day in the store",
    "enrich": "what enrichment costs live: a backlog read with and without it, in pairs",
    "footprint": "memory of every process at 2,000 events/s, and what store and disk grow by",
}


def run_bench(name: str, options: dict[str, str] | None = None) -> dict[str, Any]:
    """Run one benchmark and give its figures with the machine's. Raises `SettingInvalid` for a name that is none."""
    if name == "list":
        return dict(BENCHES)
    if name not in BENCHES:
        raise SettingInvalid(f"There is no benchmark {name!r}", f"Choose one of {', '.join(BENCHES)}.")
    module = importlib.import_module(f"tests.bench.{name}")
    began = datetime.now(UTC)
    figures: dict[str, Any] = module.run(**{k: int(v) for k, v in (options or {}).items()})
    return {
        "bench": name,
        "what": BENCHES[name],
        "at": began.isoformat(),
        "machine": {
            "cores": psutil.cpu_count(),
            "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
            "python": platform.python_version(),
        },
        "figures": figures,
    }
