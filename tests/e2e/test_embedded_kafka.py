"""A real broker: what it acknowledged is there after a crash, a clean stop and a restart."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic
from kafka.errors import KafkaError

from infra.local.kafka import EmbeddedKafka, KafkaFailed
from infra.local.kafka_config import is_listening

pytestmark = [pytest.mark.stack, pytest.mark.timeout(180)]
TOPIC = "events"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedKafka]:
    with EmbeddedKafka(tmp_path_factory.mktemp("kafka")) as running:
        create_topic(running, TOPIC)
        yield running


def create_topic(broker: EmbeddedKafka, name: str) -> None:
    admin = KafkaAdminClient(bootstrap_servers=broker.bootstrap)
    try:
        admin.create_topics([NewTopic(name, num_partitions=1, replication_factor=1)])
    finally:
        admin.close()


def produce(broker: EmbeddedKafka, values: list[bytes]) -> None:
    """Return when the broker has acknowledged every value."""
    producer = KafkaProducer(bootstrap_servers=broker.bootstrap, acks="all")
    try:
        for pending in [producer.send(TOPIC, value, timestamp_ms=1) for value in values]:
            pending.get(timeout=30)
    finally:
        producer.close()


def consume(broker: EmbeddedKafka) -> list[tuple[int, int, bytes]]:
    """Return `(offset, timestamp in ms, value)` of all there is."""
    consumer = KafkaConsumer(bootstrap_servers=broker.bootstrap, auto_offset_reset="earliest")
    try:
        partition = TopicPartition(TOPIC, 0)
        consumer.assign([partition])
        end = consumer.end_offsets([partition])[partition]
        found: list[tuple[int, int, bytes]] = []
        while len(found) < end:
            for records in consumer.poll(timeout_ms=1000).values():
                found += [(record.offset, record.timestamp, record.value) for record in records]
        return found
    finally:
        consumer.close()


def test_acknowledged_records_survive_a_crash_and_a_clean_stop(broker: EmbeddedKafka) -> None:
    bootstrap = broker.bootstrap
    first, second = [b"a%d" % n for n in range(500)], [b"b%d" % n for n in range(500)]
    produce(broker, first)
    broker.kill()
    assert broker.pid is None
    broker.start()
    assert broker.bootstrap == bootstrap
    produce(broker, second)
    broker.stop()
    broker.start()
    found = consume(broker)
    assert [offset for offset, _, _ in found] == list(range(1000)), "offsets are dense"
    assert [value for _, _, value in found] == first + second
    now_ms = time.time() * 1000
    assert all(abs(now_ms - stamped) < 3_600_000 for _, stamped, _ in found), "the broker's time, not the sender's"


def test_topics_are_not_made_by_asking_for_them(broker: EmbeddedKafka) -> None:
    producer = KafkaProducer(bootstrap_servers=broker.bootstrap, max_block_ms=1000)
    with pytest.raises(KafkaError):
        producer.send("no-such-topic", b"x").get(timeout=10)
    producer.close()


def test_a_second_broker_on_the_same_folder_is_refused(broker: EmbeddedKafka) -> None:
    with pytest.raises(KafkaFailed, match="is taken"):
        EmbeddedKafka(broker.data_dir).start()


def test_a_broker_that_dies_at_once_shows_its_log(tmp_path: Path) -> None:
    broker = EmbeddedKafka(tmp_path, overrides={"log.segment.bytes": "not a number"})
    with pytest.raises(KafkaFailed, match=r"ended with code 1:\n(.|\n)*log\.segment\.bytes"):
        broker.start()
    assert broker.pid is None


def test_an_interrupted_format_is_done_again(tmp_path: Path) -> None:
    (tmp_path / "data.new").mkdir()
    (tmp_path / "data.new" / "meta.properties").write_text("half")
    with EmbeddedKafka(tmp_path) as broker:
        assert broker.is_ready()


def test_in_the_foreground_it_stops_cleanly_on_sigterm(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "infra.local.kafka", "--data-dir", str(tmp_path)]
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert line.startswith("kafka: ready on 127.0.0.1:")
        port = int(line.rsplit(":", 1)[1])
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    assert not is_listening(port)
    assert (tmp_path / "data" / ".kafka_cleanshutdown").exists()
