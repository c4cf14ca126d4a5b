"""The broker's settings, ports, storage format and Java command line, tuned for a laptop."""

from __future__ import annotations

import base64
import json
import os
import random
import shutil
import socket
import subprocess
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from infra.local.java import Java

LOOPBACK = "127.0.0.1"
# Below the range from which Linux and macOS hand out source ports: what we remember must still be free tomorrow.
_PORT_RANGE = range(20_000, 32_000)
_FORMAT_LIMIT_SECONDS = 120

_LOG4J = """\
status=error
appender.file.type=RollingFile
appender.file.name=file
appender.file.fileName=${{sys:tidemark.kafka.log}}
appender.file.filePattern=${{sys:tidemark.kafka.log}}.%i
appender.file.layout.type=PatternLayout
appender.file.layout.pattern=%d{{ISO8601}} %p %c{{1}}: %m%n
appender.file.policies.type=Policies
appender.file.policies.size.type=SizeBasedTriggeringPolicy
appender.file.policies.size.size=10MB
appender.file.strategy.type=DefaultRolloverStrategy
appender.file.strategy.max=3
rootLogger.level={level}
rootLogger.appenderRef.file.ref=file
"""


@dataclass(frozen=True)
class Ports:
    """TCP ports on the loopback address."""

    client: int
    controller: int


def ports_file(data_dir: Path) -> Path:
    """Return where the ports of a data folder are remembered."""
    return data_dir / "ports.json"


def choose_ports(data_dir: Path, port: int | None) -> Ports:
    """Return the ports of this data folder: the one asked for, else the remembered, else free ones, and remember."""
    data_dir.mkdir(parents=True, exist_ok=True)
    remembered = _remembered(data_dir)
    if remembered is not None and port in (None, remembered.client):
        return remembered
    free = _free_ports()
    client = next(free) if port is None else port
    ports = Ports(client, next(other for other in free if other != client))
    ports_file(data_dir).write_text(json.dumps(asdict(ports)))
    return ports


def is_listening(port: int) -> bool:
    """Say whether something accepts connections on this loopback port."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((LOOPBACK, port)) == 0


def write_config(data_dir: Path, ports: Ports, overrides: Mapping[str, str]) -> Path:
    """Write `server.properties` and `log4j2.properties`, and return the path of the former."""
    path = data_dir / "server.properties"
    _write_properties(path, {**_settings(data_dir / "data", ports), **overrides})
    (data_dir / "log4j2.properties").write_text(_LOG4J.format(level="warn"))
    return path


def is_formatted(data_dir: Path) -> bool:
    """Say whether the storage has been formatted, completely."""
    return (data_dir / "data" / "meta.properties").is_file()


def format_storage(data_dir: Path, java: Java, jars: Sequence[Path]) -> str | None:
    """Give the data folder a cluster id. Returns None, or what the tool said when it failed.

    It formats a scratch folder and renames it, so that an interrupted format is simply done again.
    """
    scratch, config = data_dir / "data.new", data_dir / "format.properties"
    shutil.rmtree(scratch, ignore_errors=True)
    _write_properties(config, _settings(scratch, Ports(client=1, controller=2)))
    argv = [str(java.executable), "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", *_logging(data_dir), "-cp"]
    argv += [class_path(jars), "kafka.tools.StorageTool", "format", "-c", str(config), "-t", _new_cluster_id()]
    done = subprocess.run(
        argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_FORMAT_LIMIT_SECONDS, check=False
    )
    if done.returncode != 0:
        return (done.stderr or done.stdout).strip() or f"exit code {done.returncode}"
    config.unlink()
    scratch.rename(data_dir / "data")
    return None


def broker_argv(data_dir: Path, java: Java, jars: Sequence[Path], heap: str) -> list[str]:
    """Return the Java command line of the broker, without its last argument, the properties file."""
    return [
        str(java.executable),
        f"-Xmx{heap}",
        "-Xms64m",
        "-Xss512k",
        # C1 alone: 40 % less CPU, 35 MB less, no slower at 100,000 records/s: a broker moves bytes
        "-XX:TieredStopAtLevel=1",
        "-XX:+UseSerialGC",
        "-XX:+ExitOnOutOfMemoryError",
        "-Djava.awt.headless=true",
        *_logging(data_dir),
        "-cp",
        class_path(jars),
        "kafka.Kafka",
    ]


def class_path(jars: Sequence[Path]) -> str:
    """Return the jars as one `-cp` value."""
    return os.pathsep.join(map(str, jars))


def _settings(log_dir: Path, ports: Ports) -> dict[str, str]:
    """One node that is broker and controller. Names and meanings: Kafka's documentation, 'Broker Configs'."""
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@{LOOPBACK}:{ports.controller}",
        "listeners": f"PLAINTEXT://{LOOPBACK}:{ports.client},CONTROLLER://{LOOPBACK}:{ports.controller}",
        "advertised.listeners": f"PLAINTEXT://{LOOPBACK}:{ports.client}",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": str(log_dir),
        "auto.create.topics.enable": "false",
        "log.message.timestamp.type": "LogAppendTime",
        "default.replication.factor": "1",
        "offsets.topic.replication.factor": "1",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        **_LAPTOP_SIZES,
    }


# The defaults are for a server of its own: 50 partitions of offsets, 128 MB for the cleaner, a dozen threads a pool.
_LAPTOP_SIZES = {
    "num.network.threads": "2",
    "num.io.threads": "4",
    "background.threads": "2",
    "num.recovery.threads.per.data.dir": "2",
    "log.cleaner.dedupe.buffer.size": str(16 * 1024 * 1024),
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.num.partitions": "4",
    "group.initial.rebalance.delay.ms": "0",
    # After a crash the controller waits for the old session to end: 9 s by default, which is most of a restart.
    "broker.session.timeout.ms": "4000",
    "broker.heartbeat.interval.ms": "500",
}


def _logging(data_dir: Path) -> list[str]:
    return [
        f"-Dlog4j2.configurationFile={data_dir / 'log4j2.properties'}",
        f"-Dtidemark.kafka.log={data_dir / 'kafka.log'}",
    ]


def _write_properties(path: Path, settings: Mapping[str, str]) -> None:
    path.write_text("".join(f"{key}={value}\n" for key, value in sorted(settings.items())))


def _remembered(data_dir: Path) -> Ports | None:
    try:
        saved = json.loads(ports_file(data_dir).read_text())
        return Ports(int(saved["client"]), int(saved["controller"]))
    except (OSError, ValueError, KeyError):
        return None


def _free_ports() -> Iterator[int]:
    for port in random.sample(_PORT_RANGE, len(_PORT_RANGE)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
        yield port


def _new_cluster_id() -> str:
    """Return 22 characters of URL-safe base64 of a random UUID, as Kafka's own tool makes them."""
    while True:
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not text.startswith("-"):
            return text
