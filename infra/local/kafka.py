"""A real Apache Kafka broker (KRaft, one node, loopback only) for a laptop and for tests.

In the foreground: `python -m infra.local.kafka --data-dir DIR [--port PORT]`. SIGTERM and Ctrl-C stop it cleanly.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from infra.local import kafka_config
from infra.local.jars import JarsUnavailable, ensure_jars
from infra.local.java import JavaMissing, ensure_java
from infra.local.kafka_config import LOOPBACK, Ports, is_listening
from infra.local.processes import signal_group, spawn, terminate

START_SECONDS = 90.0
STOP_SECONDS = 30.0
_POLL_SECONDS = 0.05
_LOG_LINES_SHOWN = 15


class KafkaFailed(RuntimeError):
    """The broker did not start; the message holds the reason and its last log lines."""


class EmbeddedKafka:
    """One broker on one data folder. Starting it again on the same folder keeps its topics, ids and ports.

    `port` is the client port (default: the remembered one, else a free one), `heap` is Java's -Xmx, `overrides` are
    broker settings that win over ours. The broker dies with this process, even by SIGKILL (Linux).
    """

    def __init__(
        self, data_dir: Path, port: int | None = None, heap: str = "512m", overrides: Mapping[str, str] | None = None
    ) -> None:
        self.data_dir = data_dir.resolve()
        self._heap = heap
        self._overrides = dict(overrides or {})
        self._ports: Ports = kafka_config.choose_ports(self.data_dir, port)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap(self) -> str:
        """The value for `bootstrap.servers`."""
        return f"{LOOPBACK}:{self._ports.client}"

    @property
    def pid(self) -> int | None:
        """The process id of the broker this object started, or None when it does not run."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def command_line(self) -> tuple[list[str], dict[str, str]]:
        """Return `(argv, env)` of the broker as a foreground process, after formatting its storage if it is new.

        SIGTERM stops it cleanly. Raises KafkaFailed, JarsUnavailable, JavaMissing.
        """
        java = ensure_java()
        jars = ensure_jars().kafka
        properties = kafka_config.write_config(self.data_dir, self._ports, self._overrides)
        if not kafka_config.is_formatted(self.data_dir):
            failure = kafka_config.format_storage(self.data_dir, java, jars)
            if failure is not None:
                raise KafkaFailed(f"formatting {self.data_dir} failed: {failure}")
        argv = kafka_config.broker_argv(self.data_dir, java, jars, self._heap)
        return [*argv, str(properties)], {**os.environ, **java.environment()}

    def start(self) -> Self:
        """Start the broker and return when it answers. Raises KafkaFailed when it dies or takes over 90 s."""
        if self.pid is not None:
            return self
        if is_listening(self._ports.client) or is_listening(self._ports.controller):
            raise KafkaFailed(
                f"port {self._ports.client} or {self._ports.controller} is taken. Remedy: stop what holds it (perhaps "
                f"another broker on {self.data_dir}), or remove {kafka_config.ports_file(self.data_dir)}"
            )
        argv, env = self.command_line()
        with (self.data_dir / "console.log").open("wb") as console:
            self._process = spawn(argv, env=env, stdout=console)
        try:
            self._await_answer()
        except BaseException:
            self.kill()
            raise
        return self

    def is_ready(self) -> bool:
        """Say whether a broker answers on this port and is open to clients. Takes up to a second."""
        return is_listening(self._ports.client) and _knows_a_broker(self.bootstrap)

    def stop(self) -> None:
        """Stop the broker cleanly (SIGKILL after 30 s). Does nothing when it does not run."""
        if self._process is not None:
            terminate(self._process, STOP_SECONDS)
            self._process = None

    def kill(self) -> None:
        """SIGKILL the broker, as a crash would, and wait until it is gone."""
        if self._process is not None:
            signal_group(self._process, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def wait(self) -> int:
        """Wait for the broker to end and return its exit code (0 after a clean stop, 143 is Java's SIGTERM)."""
        return self._process.wait() if self._process is not None else 0

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _await_answer(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self.is_ready():
            code = self._process.poll() if self._process is not None else -1
            if code is not None:
                raise KafkaFailed(f"the broker ended with code {code}:\n{self._last_lines()}")
            if time.monotonic() > deadline:
                raise KafkaFailed(f"the broker did not answer in {START_SECONDS:.0f} s:\n{self._last_lines()}")
            time.sleep(_POLL_SECONDS)

    def _last_lines(self) -> str:
        lines: list[str] = []
        for log in (self.data_dir / "kafka.log", self.data_dir / "console.log"):
            if log.exists():
                lines += log.read_text(errors="replace").splitlines()[-_LOG_LINES_SHOWN:]
        return "\n".join(lines) or "(its logs are empty)"


def _knows_a_broker(bootstrap: str) -> bool:
    """Ask for metadata: a broker that still recovers its logs is not listed there yet."""
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0, "socket.timeout.ms": 1000})
    try:
        return bool(admin.list_topics(timeout=1.0).brokers)
    except KafkaException:
        return False


def main(argv: list[str] | None = None) -> int:
    """Run a broker in the foreground until SIGTERM or SIGINT. Exit code 1 and one message when it fails."""
    parser = argparse.ArgumentParser(prog="python -m infra.local.kafka", description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True, help="where topics, logs and ports are kept")
    parser.add_argument("--port", type=int, help="client port (default: the one used before, else a free one)")
    parser.add_argument("--heap", default="512m", help="Java heap limit (default: %(default)s)")
    options = parser.parse_args(argv)
    asked_to_stop: list[int] = []  # not an Event: setting one inside a handler can deadlock with its own wait()

    def on_signal(signum: int, _frame: FrameType | None) -> None:
        asked_to_stop.append(signum)

    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, on_signal)
    broker = EmbeddedKafka(options.data_dir, port=options.port, heap=options.heap)
    try:
        broker.start()
    except (KafkaFailed, JarsUnavailable, JavaMissing) as error:
        print(f"kafka: {error}", file=sys.stderr)
        return 1
    print(f"kafka: ready on {broker.bootstrap}", file=sys.stderr, flush=True)
    while broker.pid is not None and not asked_to_stop:
        time.sleep(0.2)
    if asked_to_stop:
        broker.stop()
        return 0
    code = broker.wait()
    print(f"kafka: the broker ended by itself with code {code}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
