"""The collector as it runs: a process of its own, a real Kafka, Segment's own clients."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaAdminClient
from kafka.admin import NewTopic
from segment.analytics.client import Client as SegmentClient

from contracts.envelope import fingerprint_of, parse_message
from contracts.privacy import cleaned
from contracts.topics import REJECTED, TOPICS
from infra.local.kafka import EmbeddedKafka
from infra.local.paths import repo_root, tools_dir
from tests.e2e.collector_process import (
    KEY,
    KEYS,
    PARTITIONS,
    Running,
    Sender,
    consume,
    envelope_of,
    found,
    health,
    ids_in,
    running_collector,
    start,
    wait_for,
)

pytestmark = [pytest.mark.stack, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedKafka]:
    with EmbeddedKafka(tmp_path_factory.mktemp("kafka")) as running:
        admin = KafkaAdminClient(bootstrap_servers=running.bootstrap)
        admin.create_topics([NewTopic(t.name, PARTITIONS, 1, topic_configs=t.config) for t in TOPICS])
        admin.close()
        yield running


@pytest.fixture(scope="module")
def collector(broker: EmbeddedKafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running_collector(broker.bootstrap, tmp_path_factory.mktemp("home")) as running:
        yield running


@pytest.mark.parametrize("is_gzip", [False, True])
def test_the_official_python_client(broker: EmbeddedKafka, collector: Running, is_gzip: bool) -> None:
    errors: list[Any] = []
    client = SegmentClient(
        KEY[0], host=collector.url, gzip=is_gzip, on_error=lambda *given: errors.append(given), max_retries=0
    )
    calls = [
        client.track("u1", "Product Viewed", {"product_id": "p1", "price": 12.5}),
        client.track(anonymous_id="a1", event="Order Completed", properties={"total": 9.99, "currency": "EUR"}),
        client.identify("u1", {"plan": "gold", "motto": "\U0001f30a", "name": "Zo\u00eb \U0001f30a"}),
        client.page("u1", "Shop", "Home", {"path": "/"}),
        client.screen("u1", "App", "Cart"),
        client.group("u1", "g1", {"size": 3}),
        client.alias("a1", "u1"),
    ]
    client.flush()
    client.join()
    assert errors == []
    assert all(is_queued for is_queued, _ in calls)
    said = {message["messageId"]: message for _, message in calls}
    records = found(broker, set(said))
    assert len(records) == len(calls)
    for record in records:
        envelope = envelope_of(record)
        message = said[envelope["messageId"]]
        assert envelope["type"] == message["type"]
        sent = json.loads(json.dumps(message, default=str)) | {"timestamp": envelope["message"]["timestamp"]}
        raw = json.dumps(sent).encode()
        assert envelope["message"] == json.loads(cleaned(raw, KEYS))
        assert envelope["fingerprint"] == fingerprint_of(message["type"], parse_message(raw), KEYS.secret)
        assert envelope["userAgent"].startswith("analytics-python/")
        assert envelope["sentAt"]


@pytest.fixture(scope="module")
def node_modules() -> Path:
    """Segment's Node client, installed outside the repository's files."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("node and npm are not installed: the official Node client is not tried")
    source, target = repo_root() / "tests/e2e/node_client", tools_dir() / "node_client"
    target.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(source / name, target / name)
    if not (target / "node_modules" / ".package-lock.json").exists():
        for pause in (2, 5, 0):
            done = subprocess.run(
                [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
                cwd=target,
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
            if done.returncode == 0:
                break
            time.sleep(pause)
        assert done.returncode == 0, done.stderr
    return target / "node_modules"


def test_the_official_node_client(broker: EmbeddedKafka, collector: Running, node_modules: Path) -> None:
    done = subprocess.run(
        ["node", str(repo_root() / "tests/e2e/node_client/send.cjs"), collector.url, KEY[0]],
        env={**os.environ, "NODE_PATH": str(node_modules)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    sent = {message["messageId"]: message["type"] for message in json.loads(done.stdout)}
    records = found(broker, set(sent))
    assert sorted(sent.values()) == ["alias", "group", "identify", "page", "screen", "track"]
    assert {envelope_of(record)["messageId"]: envelope_of(record)["type"] for record in records} == sent
    assert len(records) == len(sent)


def test_bad_events_of_a_good_batch_are_dead_letters_in_kafka(broker: EmbeddedKafka, collector: Running) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    batch = [{"type": "page", "userId": "u9", "messageId": "good"}, {"type": "page", "userId": "null"}]
    answer = collector.post("/v1/batch", {"batch": batch}, traceparent=trace)
    assert answer.status_code == 200
    assert [d["status"] for d in answer.json()["dispositions"]] == ["accepted", "rejected"]
    [event] = found(broker, {"good"})
    assert dict(event.headers)["traceparent"] == trace.encode()
    [letter] = consume(broker, REJECTED.name)
    assert json.loads(letter.value)["failure"]["code"] == "illegal_id"


def test_a_port_in_use_is_said_and_ends_the_process(broker: EmbeddedKafka, collector: Running, tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as stderr:
        process = start(broker.bootstrap, tmp_path, int(collector.url.rpartition(":")[2]), stderr)
    assert process.wait(20) == 10
    [line] = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert "in use" in line["event"]
    assert "TIDEMARK_COLLECTOR_PORT" in line["remedy"]


def test_sigterm_answers_what_is_under_way_and_ends_well(broker: EmbeddedKafka, tmp_path: Path) -> None:
    with running_collector(broker.bootstrap, tmp_path) as collector:
        sender = Sender(collector, "stop")
        sender.start()
        wait_for(lambda: len(sender.acknowledged) >= 200, 20, collector)
        collector.process.send_signal(signal.SIGTERM)
        assert collector.process.wait(20) == 0
        sender.stop()
        assert sender.acknowledged <= ids_in(broker)
        lines = [json.loads(line) for line in collector.log.read_text().splitlines()]
        assert any(line["event"] == "producer closed" and line["unacknowledged"] == 0 for line in lines)
        assert "visitor-of-stop" not in collector.log.read_text()


@pytest.mark.parametrize("death", ["killed", "hung"])
def test_a_broker_that_is_gone_costs_nothing_acknowledged(
    broker: EmbeddedKafka, collector: Running, death: str
) -> None:
    senders = [Sender(collector, f"{death}{i}") for i in range(3)]
    for sender in senders:
        sender.start()
    wait_for(lambda: all(len(sender.acknowledged) >= 200 for sender in senders), 20, collector)
    with broker_gone(broker, death):
        wait_for(lambda: all(sender.refused for sender in senders), 30, collector)
        assert health(collector) == 503
    for sender in senders:
        sender.stop()
        assert all(int(seconds) > 0 for seconds in sender.retry_after)
    wait_for(lambda: health(collector) == 200, 30, collector)
    for sender in senders:
        for batch in sender.refused:
            answer = collector.post("/v1/batch", {"batch": batch})
            assert answer.status_code == 200
            sender.acknowledged |= {message["messageId"] for message in batch}
    acknowledged = set[str]().union(*(sender.acknowledged for sender in senders))
    fingerprints: dict[str, set[str]] = {}
    for record in found(broker, acknowledged):
        fingerprints.setdefault(envelope_of(record)["messageId"], set()).add(envelope_of(record)["fingerprint"])
    assert fingerprints.keys() == acknowledged
    assert all(len(of_one) == 1 for of_one in fingerprints.values())


@contextmanager
def broker_gone(broker: EmbeddedKafka, death: str) -> Iterator[None]:
    """Kill the broker and start it again; or only stop it, connections kept: then it goes on with what was given up."""
    if death == "killed":
        broker.kill()
        yield
        broker.start()
        return
    assert broker.pid is not None
    os.killpg(broker.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.killpg(broker.pid, signal.SIGCONT)
