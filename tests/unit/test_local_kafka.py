"""The broker's ports, settings and refusals; the broker itself runs in tests/e2e."""

from __future__ import annotations

import socket
import uuid
from base64 import urlsafe_b64decode
from pathlib import Path

import pytest

from infra.local import kafka_config
from infra.local.kafka import EmbeddedKafka, KafkaFailed
from infra.local.kafka_config import Ports, choose_ports


def test_ports_are_remembered(tmp_path: Path) -> None:
    ports = choose_ports(tmp_path / "new", None)
    assert ports.client != ports.controller
    assert choose_ports(tmp_path / "new", None) == ports
    assert choose_ports(tmp_path / "new", ports.client) == ports


def test_a_port_asked_for_wins_and_is_remembered(tmp_path: Path) -> None:
    choose_ports(tmp_path, None)
    assert choose_ports(tmp_path, 19_092).client == 19_092
    assert choose_ports(tmp_path, None).client == 19_092


def test_a_damaged_memory_of_ports_is_replaced(tmp_path: Path) -> None:
    kafka_config.ports_file(tmp_path).write_text('{"client"')
    assert choose_ports(tmp_path, None) == choose_ports(tmp_path, None)


def test_settings_that_the_design_relies_on(tmp_path: Path) -> None:
    text = kafka_config.write_config(tmp_path, Ports(9092, 9093), {}).read_text().splitlines()
    assert "auto.create.topics.enable=false" in text
    assert "log.message.timestamp.type=LogAppendTime" in text
    assert "offsets.topic.replication.factor=1" in text
    assert "listeners=PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093" in text


def test_overrides_win(tmp_path: Path) -> None:
    text = kafka_config.write_config(
        tmp_path, Ports(1, 2), {"num.io.threads": "9", "log.retention.ms": "5"}
    ).read_text()
    assert "num.io.threads=9\n" in text
    assert text.count("num.io.threads") == 1
    assert "log.retention.ms=5\n" in text


def test_cluster_ids_are_uuids_that_no_option_parser_takes_for_a_flag() -> None:
    for _ in range(200):
        made = kafka_config._new_cluster_id()
        assert not made.startswith("-")
        assert uuid.UUID(bytes=urlsafe_b64decode(made + "=="))


def test_a_taken_port_is_refused_with_a_remedy(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        broker = EmbeddedKafka(tmp_path, port=server.getsockname()[1])
        with pytest.raises(KafkaFailed, match=r"is taken\. Remedy: stop what holds it"):
            broker.start()
    assert broker.pid is None
