"""A stack of its own for a benchmark: processes on free ports, state in a temporary folder, gone afterwards."""

from __future__ import annotations

import os
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from contracts.names import covers
from contracts.settings import Settings
from contracts.topics import EVENTS, TOPICS
from infra.installation import specs
from infra.local.kafka import EmbeddedKafka
from infra.local.processes import spawn, terminate
from speed_layer.secret import installation_secret
from speed_layer.store import open_store
from speed_layer.topics import Topics


@dataclass
class Stack:
    """A running installation; `processes` by name."""

    settings: Settings
    processes: dict[str, psutil.Process]
    start: Callable[[str], None]
    stop: Callable[[str], None]

    def cpu_seconds(self, *names: str) -> float:
        """CPU of these processes and their children so far."""
        return sum(_cpu(self.processes[n]) for n in names)

    def watch(self, pid: int) -> Callable[[], float]:
        """CPU seconds so far of another process of the benchmark, by a function."""
        process = psutil.Process(pid)
        return lambda: _cpu(process)

    def rss_bytes(self, *names: str) -> int:
        """Resident memory of these processes and their children."""
        return sum(rss_of(self.processes[n]) for n in names)

    def reached(self) -> dict[int, int]:
        """What the live query has committed."""
        with open_store(self.settings.store).read() as reader:
            newest = reader.newest_generation()
            last = reader.last_progress(newest.number) if newest else None
        return dict(last.to_offsets) if last else {}

    def await_reached(self, ends: dict[int, int], seconds: float = 900) -> None:
        """Until the live query has committed `ends`."""
        until = time.monotonic() + seconds
        while not covers(self.reached(), ends):
            if time.monotonic() > until:
                raise TimeoutError(f"live is at {self.reached()}, not at {ends}")
            time.sleep(0.2)


@contextmanager
def stack(**options: object) -> Iterator[Stack]:
    """Kafka with its topics; other processes by `start(name)`. `options` are settings."""
    with ExitStack() as cleaning:
        home = Path(cleaning.enter_context(tempfile.TemporaryDirectory(prefix="tidemark-bench-")))
        ports = {
            name: _free_port()
            for name in ("kafka_port", "collector_port", "api_port", "metrics_port_live", "metrics_port_bronze")
        }
        settings = replace(Settings(home=home, **ports), **options)
        broker = cleaning.enter_context(EmbeddedKafka(home / "kafka", settings.kafka_port))
        topics = Topics(settings.bootstrap)
        for topic in TOPICS:
            topics.ensure(topic, settings.partitions)
        installation_secret(home)
        before = dict(os.environ)
        cleaning.callback(lambda: (os.environ.clear(), os.environ.update(before)))
        os.environ.update({f"TIDEMARK_{n.upper()}": str(p) for n, p in ports.items()})
        os.environ.update({f"TIDEMARK_{n.upper()}": str(v) for n, v in options.items()})
        made = Stack(settings, {"kafka": psutil.Process(broker.pid)}, lambda _: None, lambda _: None)
        running: dict[str, object] = {}

        def start(name: str) -> None:
            (spec,) = specs(settings, (name,))
            spec.log_path.parent.mkdir(parents=True, exist_ok=True)
            child = spawn(spec.argv, env=spec.env, stdout=cleaning.enter_context(spec.log_path.open("ab")))
            running[name] = child
            made.processes[name] = psutil.Process(child.pid)

            def end() -> None:
                if name in running:
                    terminate(child, 20)

            cleaning.callback(end)

        def stop(name: str) -> None:
            terminate(running.pop(name), 20)  # type: ignore[arg-type]

        made.start, made.stop = start, stop
        yield made


def ends(settings: Settings) -> dict[int, int]:
    """Where Kafka's event log ends."""
    return Topics(settings.bootstrap).ends(EVENTS.name)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _cpu(process: psutil.Process) -> float:
    every = [process, *process.children(recursive=True)]
    return sum(t.user + t.system for t in (p.cpu_times() for p in every if p.is_running()))


def rss_of(process: psutil.Process) -> int:
    """Resident bytes of a process and its children; those that have ended have none."""
    found, every = 0, [process]
    with suppress(psutil.NoSuchProcess):
        every += process.children(recursive=True)
    for each in every:
        with suppress(psutil.NoSuchProcess):
            found += each.memory_info().rss
    return found
