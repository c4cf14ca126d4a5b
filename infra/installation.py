"""One installation on one machine: which processes it has, in which order they start, and when each is ready."""

from __future__ import annotations

import os
import socket
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

from contracts.errors import FenceRefused, PortTaken, RecordsLost, RulesChanged, TopicRecreated
from contracts.settings import Settings
from contracts.topics import TOPICS
from infra.local.kafka import EmbeddedKafka
from infra.local.supervisor import ProcessSpec
from speed_layer.topics import KafkaUnavailable, Topics

# A restart cures none of these; the process has logged its own remedy, and `tidemark status` repeats it.
FATAL = {
    PortTaken.exit_code: "Another program holds its port: stop that, or set another (see its log).",
    FenceRefused.exit_code: "Checkpoint and store do not match: see its log, then `tidemark generations new`.",
    RulesChanged.exit_code: "The code's rules are not the data's: run `tidemark upgrade`, or redeploy the old code.",
    TopicRecreated.exit_code: "The topic was re-created: run `tidemark nightly`, then `tidemark generations new`.",
    RecordsLost.exit_code: "Kafka no longer holds records that were not read: see its log.",
}
SERVERS = ("kafka", "collector", "live", "bronze", "api")


def specs(settings: Settings, only: tuple[str, ...] = SERVERS) -> list[ProcessSpec]:
    """The processes of the installation, in starting order. Without `TIDEMARK_KAFKA`, Kafka is embedded."""
    made: list[ProcessSpec] = []
    if "kafka" in only and not settings.kafka:
        made.append(_kafka(settings))
    modules = {
        "collector": ("speed_layer.collector", settings.collector_port, "/healthz"),
        "live": ("speed_layer.live_main", settings.metrics_port_live, "/metrics"),
        "bronze": ("speed_layer.bronze", settings.metrics_port_bronze, "/metrics"),
        "api": ("serving.api", settings.api_port, "/healthz"),
    }
    for name, (module, port, path) in modules.items():
        if name in only:
            made.append(_python(settings, name, module, answers(settings.host, port, path)))
    return made


def taken_ports(settings: Settings) -> dict[str, int]:
    """The ports of the installation that something listens on already, by process."""
    wanted = {
        "collector": settings.collector_port,
        "api": settings.api_port,
        "live": settings.metrics_port_live,
        "bronze": settings.metrics_port_bronze,
    }
    if not settings.kafka:
        wanted["kafka"] = settings.kafka_port
    return {name: port for name, port in wanted.items() if _listens(settings.host, port)}


def environment(settings: Settings) -> dict[str, str]:
    """What a child process needs to be of the same installation, wherever it is started."""
    return {**os.environ, "TIDEMARK_HOME": str(settings.home.resolve()), "TIDEMARK_KAFKA": settings.bootstrap}


def answers(host: str, port: int, path: str) -> Callable[[], bool]:
    """Whether an HTTP server answers well there."""

    def ready() -> bool:
        with urllib.request.urlopen(f"http://{host}:{port}{path}", timeout=2) as response:
            return bool(response.status == 200)  # noqa: PLR2004 - HTTP's OK

    return ready


def _kafka(settings: Settings) -> ProcessSpec:
    broker = EmbeddedKafka(settings.home / "kafka", settings.kafka_port)
    argv, env = broker.command_line()

    def ready() -> bool:
        if not _listens(settings.host, settings.kafka_port):
            return False
        try:
            topics = Topics(settings.bootstrap, timeout_seconds=5)
            for topic in TOPICS:
                topics.ensure(topic, settings.partitions)
        except KafkaUnavailable:
            return False
        return True

    return ProcessSpec("kafka", argv, env, ready, _log(settings, "kafka"), ready_timeout_seconds=90)


def _python(settings: Settings, name: str, module: str, ready: Callable[[], bool]) -> ProcessSpec:
    return ProcessSpec(
        name,
        [sys.executable, "-m", module],
        environment(settings),
        ready,
        _log(settings, name),
        ready_timeout_seconds=120,
        fatal_exit_codes=FATAL,
    )


def _log(settings: Settings, name: str) -> Path:
    return settings.home.resolve() / "logs" / f"{name}.log"


def _listens(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0
