"""A collector process, a client that notes what it was told, and a look into Kafka: for the tests of the collector."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import httpx
from kafka import KafkaConsumer, TopicPartition
from kafka.partitioner.default import murmur2

from contracts.envelope import KEY_HEADER, fingerprint_of, parse_message, record_key
from contracts.privacy import InstallationKeys
from contracts.topics import EVENTS
from infra.local.kafka import EmbeddedKafka
from infra.local.paths import repo_root
from infra.local.processes import spawn, terminate

SECRET = "an installation secret for tests"
ATTRIBUTE_KEY = "an attribute key for tests"
KEYS = InstallationKeys(SECRET.encode(), ATTRIBUTE_KEY.encode())
KEY = ("k1", "")
PARTITIONS = 2


@dataclass
class Running:
    """One collector process."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    def post(self, path: str, content: Any, **headers: str) -> httpx.Response:
        return httpx.post(f"{self.url}{path}", auth=KEY, json=content, headers=headers, timeout=30)


@contextmanager
def running_collector(bootstrap: str, home: Path) -> Iterator[Running]:
    """A collector that answers, on a port of its own; gone afterwards, whatever happened."""
    port = free_port()
    log = home / "collector.log"
    with log.open("wb") as stderr:
        process = start(bootstrap, home, port, stderr)
    running = Running(f"http://127.0.0.1:{port}", process, log)
    try:
        wait_for(lambda: health(running) == 200, 30, running)
        yield running
    finally:
        terminate(process, 15)


def start(bootstrap: str, home: Path, port: int, stderr: IO[bytes]) -> subprocess.Popen[bytes]:
    env = {
        **os.environ,
        "TIDEMARK_HOME": str(home),
        "TIDEMARK_KAFKA": bootstrap,
        "TIDEMARK_COLLECTOR_PORT": str(port),
        "TIDEMARK_WRITE_KEYS": "k1:shop",
        "TIDEMARK_SECRET": SECRET,
        "TIDEMARK_ATTRIBUTE_KEY": ATTRIBUTE_KEY,
    }
    argv = [sys.executable, "-m", "speed_layer.collector"]
    return spawn(argv, env=env, stdout=stderr, stderr=stderr, cwd=repo_root())


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def health(collector: Running) -> int:
    try:
        return httpx.get(f"{collector.url}/healthz", timeout=10).status_code
    except httpx.TransportError:
        return 0


def wait_for(condition: Callable[[], bool], seconds: float, collector: Running) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, collector.log.read_text()
        time.sleep(0.1)


def consume(broker: EmbeddedKafka, topic: str) -> list[Any]:
    """Every record there is, whose offsets are checked to be dense."""
    consumer = KafkaConsumer(bootstrap_servers=broker.bootstrap, enable_auto_commit=False)
    partitions = [TopicPartition(topic, p) for p in range(PARTITIONS)]
    consumer.assign(partitions)
    consumer.seek_to_beginning(*partitions)
    count = sum(consumer.end_offsets(partitions).values())
    records: list[Any] = []
    deadline = time.monotonic() + 20
    while len(records) < count and time.monotonic() < deadline:
        for some in consumer.poll(500).values():
            records += some
    consumer.close()
    for p in range(PARTITIONS):
        offsets = [record.offset for record in records if record.partition == p]
        assert offsets == list(range(len(offsets)))
    assert len(records) == count
    return records


def found(broker: EmbeddedKafka, message_ids: set[str]) -> list[Any]:
    """The records of these messages; each is checked as one the collector may write."""
    records = [record for record in consume(broker, EVENTS.name) if envelope_of(record)["messageId"] in message_ids]
    for record in records:
        check_record(record)
    return records


def envelope_of(record: Any) -> dict[str, Any]:
    return dict(json.loads(record.value))


def check_record(record: Any) -> None:
    """Key, partition, stamps and fingerprint are those the design defines."""
    envelope = envelope_of(record)
    message = envelope["message"]
    assert record.key.decode() == str(message.get("anonymousId") or message["userId"])
    assert record.partition == (murmur2(record.key) & 0x7FFFFFFF) % PARTITIONS
    assert envelope["source"] == "shop"
    assert envelope["ip"] == "127.0.0.0"
    assert envelope["receivedAt"].endswith("Z")
    raw = record.value[record.value.index(b'"message":') + len(b'"message":') : -1]
    # Where a name or contact was replaced, it is of the text that the record no longer holds.
    if f"k{KEYS.attribute_key_id}_".encode() not in raw:
        assert envelope["fingerprint"] == fingerprint_of(envelope["type"], parse_message(raw), KEYS.secret)
    assert [name for name, _ in record.headers] == [KEY_HEADER, "traceparent"]
    assert record.headers[0][1] == record_key(envelope["messageId"], envelope["fingerprint"])


class Sender(threading.Thread):
    """A client that sends batches of 20 one after the other, and notes what it was told."""

    def __init__(self, collector: Running, name: str) -> None:
        super().__init__(daemon=True)
        self.collector, self.prefix = collector, name
        self.acknowledged: set[str] = set()
        self.refused: list[list[dict[str, Any]]] = []
        self.retry_after: list[str] = []
        self._is_stopping = threading.Event()

    def run(self) -> None:
        number = 0
        while not self._is_stopping.is_set():
            batch = [self._message(number + i) for i in range(20)]
            number += 20
            try:
                answer = self.collector.post("/v1/batch", {"batch": batch})
            except httpx.TransportError:
                return
            if answer.status_code == 200:
                self.acknowledged |= {d["messageId"] for d in answer.json()["dispositions"]}
            else:
                assert answer.status_code == 503
                assert "unavailable" in {d["status"] for d in answer.json()["dispositions"]}
                self.refused.append(batch)
                self.retry_after.append(answer.headers["retry-after"])

    def stop(self) -> None:
        self._is_stopping.set()
        self.join(30)

    def _message(self, number: int) -> dict[str, Any]:
        return {
            "type": "track",
            "event": "Product Viewed",
            "messageId": f"{self.prefix}-{number}",
            "anonymousId": f"visitor-of-{self.prefix}-{number % 50}",
            "timestamp": "2026-01-01T00:00:00Z",
        }


def ids_in(broker: EmbeddedKafka) -> set[str]:
    return {envelope_of(record)["messageId"] for record in consume(broker, EVENTS.name)}
