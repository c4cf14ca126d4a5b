"""Event -> visible in the merged answer, open loop: latency counts from the moment an event was meant to be sent.

The generator goes through the entrance, on the same machine. An event is visible when a merged reader that follows the
store has it in its answer; the reader looks as often as the API does.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from typing import Any
from urllib.request import urlopen

import pyarrow as pa
import pyarrow.compute as pc
from prometheus_client.parser import text_string_to_metric_families

import serving
from serving.api.refresher import REFRESH_SECONDS
from tests.bench.load import Load
from tests.bench.stack import Stack, ends, stack

WARM_SEED = 1000
Seen = list[tuple[float, dict[int, int]]]


def run(rate: int = 2000, seconds: int = 180, warm_seconds: int = 30, bronze: int = 1) -> dict[str, Any]:
    """`rate` events per second for `seconds`, after a warm-up at the same rate that is not counted."""
    with stack() as s:
        for name in ("live", *(["bronze"] if bronze else [])):
            s.start(name)
        reader = Reader(s)
        reader.start()
        Load(s, rate, warm_seconds, seed=WARM_SEED).wait()
        s.await_reached(ends(s.settings))
        before = {n: s.cpu_seconds(n) for n in s.processes}
        phases, looked, began = live_phases(s), reader.spent(), time.monotonic()
        load = Load(s, rate, seconds)
        generator = s.watch(load.process.pid)
        time.sleep(seconds - 1)
        whole = time.monotonic() - began
        spent = {n: s.cpu_seconds(n) - cpu for n, cpu in before.items()}
        spent |= {"generator": generator(), "reader": reader.spent() - looked}
        phases = {n: v - phases[n] for n, v in live_phases(s).items()}
        sent = load.wait()
        s.await_reached(ends(s.settings))
        reader.stop(ends(s.settings))
        found = sorted(latencies(sent, reader.seen))
        rss = {name: round(s.rss_bytes(name) / 2**20) for name in s.processes}
    batches = phases.pop("batches")
    return {
        "rate": rate,
        "seconds": seconds,
        "events": len(found),
        **{f"p{q}_seconds": round(found[int(len(found) * q / 100)], 3) for q in (50, 95, 99)},
        "max_seconds": round(found[-1], 3),
        "cores_busy": {n: round(cpu / whole, 3) for n, cpu in spent.items()},
        "live_batches": int(batches),
        "live_batch_seconds": {n: round(v / batches, 3) for n, v in phases.items()},
        "refresh_milliseconds": round(1000 * reader.mean_refresh(), 1),
        "rss_mib": rss,
    }


class Reader(threading.Thread):
    """A merged reader that follows the store, and notes when it saw what."""

    def __init__(self, s: Stack) -> None:
        super().__init__(name="reader")
        self._stack, self._target, self._looks, self._busy, self._cpu = s, None, 0, 0.0, 0.0
        self.seen: Seen = []

    def run(self) -> None:
        """Refresh until the target is seen."""
        with _first_answer(self._stack) as tm:
            while self._target is None or not self.seen or self.seen[-1][1] != self._target:
                time.sleep(REFRESH_SECONDS)
                began = time.monotonic()
                offsets = dict(tm.refresh().offsets)
                if not self.seen or self.seen[-1][1] != offsets:
                    self.seen.append((time.monotonic(), offsets))
                    self._looks, self._busy = self._looks + 1, self._busy + time.monotonic() - began
                self._cpu = time.process_time()

    def stop(self, target: dict[int, int]) -> None:
        """Wait until the answer holds `target`."""
        self._target = target
        self.join()

    def spent(self) -> float:
        """CPU seconds of this process so far."""
        return self._cpu

    def mean_refresh(self) -> float:
        """Seconds of a refresh that took something in."""
        return self._busy / self._looks


def latencies(sent: pa.Table, seen: Seen) -> list[float]:
    """Seconds from the intended time to the first answer that holds the event."""
    found: list[float] = []
    for partition in pc.unique(sent["partition"]).to_pylist():
        ends_seen = [offsets.get(partition, 0) for _, offsets in seen]
        of_it = sent.filter(pc.equal(sent["partition"], partition))
        for intended, offset in zip(of_it["intended"].to_pylist(), of_it["offset"].to_pylist(), strict=True):
            found.append(seen[bisect_left(ends_seen, offset + 1)][0] - intended)
    return found


def live_phases(s: Stack) -> dict[str, float]:
    """Seconds that the live query has spent by phase, and its number of batches, from its metrics."""
    with urlopen(f"http://127.0.0.1:{s.settings.metrics_port_live}/metrics") as response:
        families = list(text_string_to_metric_families(response.read().decode()))
    (phases,) = [f for f in families if f.name == "tidemark_live_phase_seconds"]
    found = {x.labels["phase"]: x.value for x in phases.samples if x.name.endswith("_sum")}
    return found | {"batches": max(x.value for x in phases.samples if x.name.endswith("_count"))}


def _first_answer(s: Stack) -> serving.Tidemark:
    while not any(s.reached().values()) if (s.settings.home / "store.sqlite").exists() else True:
        time.sleep(0.2)
    return serving.connect(s.settings)
