"""Event -> visible in the merged answer, open loop: latency counts from the moment an event was meant to be sent.

The generator goes through the entrance, on the same machine. An event is visible when a merged reader that follows the
store has it in its answer; the reader looks again as soon as it is done.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from datetime import UTC, datetime
from itertools import cycle
from typing import Any

from confluent_kafka import KafkaError, Message, Producer

import serving
from contracts.envelope import Entered, Stamp, enter
from contracts.topics import EVENTS
from speed_layer.replay import SourceMessage, open_source
from speed_layer.secret import installation_secret
from tests.bench.stack import Stack, ends, stack

_LOOK_SECONDS = 0.05


def run(rate: int = 2000, seconds: int = 180, warm_seconds: int = 30) -> dict[str, Any]:
    """`rate` events per second for `seconds`, after a warm-up at the same rate that is not counted."""
    with stack() as s:
        s.start("live")
        s.start("bronze")
        sent = Sent()
        stopping = threading.Event()
        seen: list[tuple[float, dict[int, int]]] = []
        generator = threading.Thread(target=_generate, args=(s, sent, rate, seconds + warm_seconds))
        first = _first_answer(s)
        reader = threading.Thread(target=_follow, args=(first, seen, stopping))
        reader.start()
        began = time.monotonic()
        cpu = s.cpu_seconds("kafka", "live", "bronze")
        generator.start()
        generator.join()
        s.await_reached(ends(s.settings))
        time.sleep(2 * _LOOK_SECONDS)
        cpu = s.cpu_seconds("kafka", "live", "bronze") - cpu
        stopping.set()
        reader.join()
        latencies = sorted(sent.latencies(seen, began + warm_seconds))
        rss = {name: round(s.rss_bytes(name) / 2**20) for name in s.processes}
    return {
        "rate": rate,
        "seconds": seconds,
        "events": len(latencies),
        "p50_seconds": round(latencies[len(latencies) // 2], 3),
        "p95_seconds": round(latencies[int(len(latencies) * 0.95)], 3),
        "p99_seconds": round(latencies[int(len(latencies) * 0.99)], 3),
        "max_seconds": round(latencies[-1], 3),
        "cpu_seconds": round(cpu, 1),
        "rss_mib": rss,
    }


class Sent:
    """When each event was meant to be sent, by partition and offset."""

    def __init__(self) -> None:
        self.at: list[tuple[int, int, float]] = []

    def delivered(self, intended: float, error: KafkaError | None, message: Message) -> None:
        """Kafka has it."""
        if error is not None:
            raise RuntimeError(str(error))
        self.at.append((message.partition(), message.offset(), intended))

    def latencies(self, seen: list[tuple[float, dict[int, int]]], counted_from: float) -> list[float]:
        """Seconds from the intended time to the first answer that holds the event."""
        found = []
        by_partition = {p: [offsets.get(p, 0) for _, offsets in seen] for p in {p for p, _, _ in self.at}}
        for partition, offset, intended in self.at:
            if intended >= counted_from:
                found.append(seen[bisect_left(by_partition[partition], offset + 1)][0] - intended)
        return found


def _first_answer(s: Stack) -> serving.Tidemark:
    while True:
        with_store = (s.settings.home / "store.sqlite").exists()
        if with_store and "live" in s.processes and s.settings.home.joinpath("checkpoints/live/g1").exists():
            return serving.connect(s.settings)
        time.sleep(0.5)


def _follow(tm: serving.Tidemark, seen: list[tuple[float, dict[int, int]]], stopping: threading.Event) -> None:
    with tm:
        while not stopping.wait(_LOOK_SECONDS):
            offsets = dict(tm.refresh().offsets)
            if not seen or seen[-1][1] != offsets:
                seen.append((time.monotonic(), offsets))


def _generate(s: Stack, sent: Sent, rate: int, seconds: int) -> None:
    producer = Producer(
        {
            "bootstrap.servers": s.settings.bootstrap,
            "acks": "all",
            "enable.idempotence": True,
            "linger.ms": 5,
            "partitioner": "murmur2_random",
        }
    )
    secret = installation_secret(s.settings.home)
    began, number = time.monotonic(), 0
    source = (m for m in cycle(open_source(f"sim:days=2,events_target={rate * seconds * 2}").messages()))
    for message in source:
        if number >= rate * seconds:
            break
        if not isinstance(message, SourceMessage):
            continue
        entered = enter(message.raw, None, Stamp(_now()), secret)
        if not isinstance(entered, Entered):
            continue
        intended = began + number / rate
        number += 1
        while (ahead := intended - time.monotonic()) > 0:
            producer.poll(0)
            time.sleep(min(ahead, 0.005))
        producer.produce(
            EVENTS.name,
            entered.value,
            entered.key,
            headers=entered.headers,
            on_delivery=lambda e, m, at=intended: sent.delivered(at, e, m),
        )
        producer.poll(0)
    producer.flush(60)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
