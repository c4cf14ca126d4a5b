"""Open-loop load, as a process of its own: `python -m tests.bench.load BOOTSTRAP HOME RATE SECONDS SEED OUT`.

Sends simulated events through the entrance at a fixed rate, however late it gets, and writes to OUT when each one was
meant to be sent (CLOCK_MONOTONIC, seconds) with the partition and offset it got, as a Parquet file.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from confluent_kafka import KafkaError, Message, Producer

from contracts.envelope import Entered, Stamp, enter, stamped
from contracts.topics import EVENTS
from infra.local.processes import spawn
from speed_layer.attribute_keys import installation_keys
from speed_layer.replay import SourceMessage, open_source
from tests.bench.stack import Stack

_TICK_SECONDS = 0.01


class Load:
    """A running generator of one stack."""

    def __init__(self, stack: Stack, rate: int, seconds: int, seed: int = 1) -> None:
        s = stack.settings
        self._out = s.home / "load.parquet"
        numbers = [str(rate), str(seconds), str(seed)]
        argv = [sys.executable, "-m", "tests.bench.load", s.bootstrap, str(s.home), *numbers, str(self._out)]
        self.process = spawn(argv)

    def wait(self) -> pa.Table:
        """Columns intended, partition, offset, in the order of delivery. Raises `RuntimeError` where it failed."""
        if code := self.process.wait():
            raise RuntimeError(f"The generator ended with {code}")
        return pq.read_table(self._out)


def generate(bootstrap: str, home: Path, rate: int, seconds: int, seed: int) -> pa.Table:
    """Send `rate * seconds` events; columns intended, partition, offset."""
    delivered: list[tuple[float, int, int]] = []

    def note(intended: float, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            raise RuntimeError(str(error))
        delivered.append((intended, message.partition(), message.offset()))

    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "acks": "all",
            "enable.idempotence": True,
            "linger.ms": 10,
            "partitioner": "murmur2_random",
        }
    )
    keys, messages = installation_keys(home), _messages(rate * seconds, seed)
    began = time.monotonic()
    for number in range(rate * seconds):
        intended = began + number / rate
        # What is due goes out together, and counts from the moment that it was due.
        if intended > time.monotonic():
            producer.poll(0)
            time.sleep(_TICK_SECONDS)
        now = stamped(datetime.now(UTC))
        entered = enter(next(messages).raw, None, Stamp(now), keys)
        if isinstance(entered, Entered):
            producer.produce(
                EVENTS.name,
                entered.value,
                entered.key,
                headers=entered.headers,
                on_delivery=lambda e, m, at=intended: note(at, e, m),
            )
    producer.flush(60)
    return pa.table(dict(zip(("intended", "partition", "offset"), zip(*delivered, strict=True), strict=True)))


def _messages(wanted: int, first_seed: int) -> Iterator[SourceMessage]:
    """Simulated messages without end: another world when one is over."""
    for seed in count(first_seed):
        for message in open_source(f"sim:seed={seed},days=1,events_target={wanted}").messages():
            if isinstance(message, SourceMessage):
                yield message


if __name__ == "__main__":
    to, folder, *numbers, out = sys.argv[1:]
    pq.write_table(generate(to, Path(folder), *(int(n) for n in numbers)), out)
