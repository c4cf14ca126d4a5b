"""What the whole running stack takes: resident memory by process, and what the store and the disk grow by."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from infra.installation import SERVERS
from tests.bench.load import Load
from tests.bench.stack import Stack, ends, stack

MIB = 2**20


def run(rate: int = 2000, seconds: int = 600, warm_seconds: int = 60) -> dict[str, Any]:
    """Every process of the installation at `rate` events per second; growth is measured after the warm-up."""
    with stack() as s:
        for name in SERVERS[1:]:
            s.start(name)
        Load(s, rate, warm_seconds, seed=1000).wait()
        s.await_reached(ends(s.settings))
        before, began, rss = _sizes(s), time.monotonic(), 0
        load = Load(s, rate, seconds)
        while load.process.poll() is None:
            time.sleep(1)
            rss = max(rss, s.rss_bytes(*s.processes))
        load.wait()
        s.await_reached(ends(s.settings))
        hours = (time.monotonic() - began) / 3600
        grown = {f"{n}_mib_per_hour": round((size - before[n]) / MIB / hours) for n, size in _sizes(s).items()}
        by_process = {name: round(s.rss_bytes(name) / MIB) for name in s.processes}
    return {"rate": rate, "seconds": seconds, "peak_rss_mib": round(rss / MIB), "rss_mib": by_process, **grown}


def _sizes(s: Stack) -> dict[str, int]:
    home = s.settings.home
    return {
        "store": _size(home, "store.sqlite*"),
        "seen": _size(home / "checkpoints", "**/seen/**/*"),
        "bronze": _size(home / "warehouse", "**/*"),
        "kafka": _size(home / "kafka", "**/*"),
    }


def _size(folder: Path, pattern: str) -> int:
    """Bytes of the files there; some may go while it counts."""
    found = 0
    for file in folder.glob(pattern):
        try:
            found += file.stat().st_size if file.is_file() else 0
        except FileNotFoundError:
            continue
    return found
