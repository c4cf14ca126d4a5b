"""One installation whose processes a test starts, kills and loses state of, one by one. Nothing in it is a stand-in."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import pyarrow.compute as pc
from deltalake import DeltaTable
from sqlalchemy import text

import serving
from contracts.errors import RecordsLost, RulesChanged, StoreUnavailable
from contracts.names import covers
from contracts.privacy import InstallationKeys
from contracts.reports import REPORTS
from contracts.settings import Settings
from contracts.topics import EVENTS, TOPICS
from infra.installation import FATAL, environment
from infra.local.kafka import EmbeddedKafka
from infra.local.paths import repo_root
from infra.local.processes import signal_group, spawn, terminate
from serving.reach import bronze_reach
from serving.verify import verify_merged
from speed_layer.failpoints import VARIABLE
from speed_layer.replay import SourceItem
from speed_layer.replay.pump import Pump
from speed_layer.replay.simulator import SimulatorConfig, simulate
from speed_layer.store import open_store
from speed_layer.topics import Topics

SECRET = "an installation secret for tests"
ATTRIBUTE_KEY = "an attribute key for tests"
KEYS = InstallationKeys(SECRET.encode(), ATTRIBUTE_KEY.encode())
MODULES = {"live": "speed_layer.live_main", "bronze": "speed_layer.bronze"}
KILLED = -signal.SIGKILL
PATIENCE_SECONDS = 240.0
_LOOK_SECONDS = 0.2
# Small batches and short intervals, so that a few thousand events meet every step many times.
# Half of what a short-lived JVM does is compile; the quick compiler alone halves that.
_JAVA = "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=160m -XX:+UseSerialGC"
_BRISK = {"LIVE_MAX_OFFSETS": "200", "BRONZE_INTERVAL_SECONDS": "1", "FOLD_INTERVAL_SECONDS": "1"}

Answer = dict[str, list[str]]


class Died(AssertionError):
    """A process of the installation ended that should run."""


@dataclass(frozen=True)
class Said:
    """What a command of the CLI answered."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass
class Process:
    """One process; `log` holds what it and the ones before it wrote."""

    name: str
    popen: subprocess.Popen[bytes]
    log: Path
    begins: int
    restarts: int = 0

    def tail(self) -> str:
        """What this process itself wrote."""
        with self.log.open("rb") as file:
            file.seek(self.begins)
            return file.read().decode(errors="replace")[-4000:]


@dataclass
class Installation:
    """Kafka, the live and the bronze query, the store and the warehouse of one folder.

    `rules` are settings (`SESSION_GAP_SECONDS`, ...) that later processes and answers get. `is_spent` says that no
    other test should go on with it.
    """

    home: Path
    store_url: str = ""
    rules: dict[str, str] = field(default_factory=dict)
    processes: dict[str, Process] = field(default_factory=dict)
    is_spent: bool = False
    _runs: int = 0

    def __post_init__(self) -> None:
        self.home = self.home.resolve()
        self.broker = EmbeddedKafka(self.home / "kafka")
        ports = dict(zip(("LIVE", "BRONZE"), _free_ports(2), strict=True))
        self._ports = {f"METRICS_PORT_{name}": str(port) for name, port in ports.items()}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for name in list(self.processes):
            self.kill(name)
        self.broker.kill()

    @property
    def settings(self) -> Settings:
        """As every process of the installation reads them now."""
        return Settings.from_env(self._env())

    @property
    def topics(self) -> Topics:
        return Topics(self.broker.bootstrap)

    def _env(self) -> dict[str, str]:
        given = {**_BRISK, **self._ports, **self.rules, "HOME": str(self.home), "KAFKA": self.broker.bootstrap}
        given |= {"SECRET": SECRET, "ATTRIBUTE_KEY": ATTRIBUTE_KEY, "STORE_URL": self.store_url, "HOST": "127.0.0.1"}
        others = {k: v for k, v in os.environ.items() if not k.startswith("TIDEMARK_") or k == "TIDEMARK_TOOLS"}
        return others | {f"TIDEMARK_{name}": value for name, value in given.items()}

    def env(self, failpoint: str = "") -> dict[str, str]:
        """The environment of a child process."""
        own = {VARIABLE: failpoint, "PYTHONPATH": str(repo_root()), "JAVA_TOOL_OPTIONS": _JAVA}
        return environment(self.settings) | self._env() | own

    # Processes.

    def start(self, *names: str, failpoint: str = "") -> None:
        """Start processes without waiting for them; those that run stay as they are."""
        for name in names:
            if name == "kafka":
                self.broker.start()
                for topic in TOPICS:
                    self.topics.ensure(topic, self.settings.partitions)
            elif not self.is_alive(name):
                log = self.home / "logs" / f"{name}.log"
                log.parent.mkdir(parents=True, exist_ok=True)
                begins = log.stat().st_size if log.exists() else 0
                with log.open("ab") as out:
                    argv = [sys.executable, "-m", MODULES[name]]
                    popen = spawn(argv, env=self.env(failpoint), stdout=out, cwd=repo_root())
                self.processes[name] = Process(name, popen, log, begins)

    def up(self) -> None:
        """Start all there is."""
        self.start("kafka", "live", "bronze")

    def is_alive(self, name: str) -> bool:
        return name in self.processes and self.processes[name].popen.poll() is None

    def kill(self, *names: str) -> None:
        """SIGKILL."""
        for name in names:
            if name == "kafka":
                self.broker.kill()
            elif name in self.processes:
                signal_group(self.processes[name].popen, signal.SIGKILL)
                self._bury(self.processes.pop(name))

    def stop(self, *names: str) -> None:
        """SIGTERM, as `tidemark up` ends them."""
        for name in names:
            if name == "kafka":
                self.broker.stop()
            elif name in self.processes:
                terminate(self.processes.pop(name).popen, 30)

    def down(self) -> None:
        """Kill the queries and stop Kafka."""
        self.kill("live", "bronze")
        self.stop("kafka")

    def exit_code(self, name: str) -> int:
        """Wait for a process to end by itself, and give its exit code."""
        process = self.processes[name]
        self.until(lambda: process.popen.poll() is not None, f"{name} to end", watched=False)
        del self.processes[name]
        return self._bury(process)

    def watch(self) -> None:
        """What the supervisor does: start again what died of something that a restart cures. Raises `Died`."""
        for name, process in list(self.processes.items()):
            code = process.popen.poll()
            if code is None:
                continue
            self._bury(process)
            del self.processes[name]
            if code in FATAL or process.restarts == 5:
                raise Died(f"{name} ended with code {code}:\n{process.tail()}")
            self.start(name)
            self.processes[name].restarts = process.restarts + 1

    def until(self, condition: Callable[[], bool], what: str, *, watched: bool = True) -> None:
        """Wait for a condition; meanwhile processes that die are started again, unless not `watched`."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            if watched:
                self.watch()
            assert time.monotonic() < deadline, f"waited in vain for {what}\n{self._tails()}"
            time.sleep(_LOOK_SECONDS)

    def _bury(self, process: Process) -> int:
        code = process.popen.wait()
        # The JVM outlives its Python by a moment; the supervisor ends it too.
        signal_group(process.popen, signal.SIGKILL)
        return code

    def _tails(self) -> str:
        return "\n".join(f"--- {name}\n{process.tail()}" for name, process in self.processes.items())

    # Traffic.

    def pump(self, items: Iterable[SourceItem], rate: float | None = None) -> None:
        """Send messages through the entrance, and return when Kafka has acknowledged them."""
        Pump(self.broker.bootstrap, KEYS).run(items, events_per_second=rate)

    def await_visible(self) -> None:
        """Wait until every record that is now in Kafka is in the merged answer."""
        ends = self.topics.ends(EVENTS.name)
        self.until(lambda: covers(self.reached(), ends), f"live to reach {ends}")

    def await_bronze(self) -> None:
        """Wait until every record that is now in Kafka is in bronze."""
        ends = self.topics.ends(EVENTS.name)
        self.until(lambda: covers(self.bronze_reached(), ends), f"bronze to reach {ends}")

    def reached(self) -> dict[int, int]:
        """How far the merged answer reaches in the topic as it is; empty where there is none."""
        try:
            with serving.connect(self.settings) as tm:
                return dict(tm.as_of.offsets) if tm.as_of.log == self.log_now() else {}
        except (StoreUnavailable, RulesChanged):
            return {}

    def bronze_reached(self) -> dict[int, int]:
        """How far bronze reaches in the topic as it is."""
        log = self.log_now()
        found = bronze_reach(self.settings, log) if log else None
        return {int(p): o for p, o in found["offsets"].items()} if found else {}

    def log_now(self) -> int | None:
        """The log that the topic is now; None where no process has taken it up yet."""
        try:
            with open_store(self.settings.store, create=False) as store, store.read() as reader:
                log = reader.log_of(self.topics.topic_id(EVENTS.name))
        except StoreUnavailable:
            return None
        return log.number if log else None

    # Commands and answers.

    def cli(self, *args: str, failpoint: str = "", code: int = 0) -> Said:
        """Run `tidemark ...`, which must end with `code`."""
        argv = [sys.executable, "-m", "infra.cli", *args]
        env = self.env(failpoint)
        done = subprocess.run(argv, env=env, cwd=repo_root(), capture_output=True, text=True, timeout=280, check=False)
        assert done.returncode == code, (
            f"{args} ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-4000:]}"
        )
        return Said(done.returncode, done.stdout, done.stderr)

    def assert_exact(self) -> None:
        """The merged answer is that of one pass of the oracle over every record (L4), and its halves meet (L2)."""
        found = self.differences()
        assert found == [], found[:5]

    def differences(self) -> list[dict[str, Any]]:
        """Where the merged answer is not the oracle's."""
        with serving.connect(self.settings) as tm:
            return verify_merged(self.settings, tm)

    def rows_by_status(self, status: str) -> int:
        """How many records became that."""
        return self.count(f"SELECT sum(rows) FROM quality WHERE status = '{status}'")

    def answer(self) -> Answer:
        """All that can be asked, as text: every merged relation and view, in an order of its own.

        Reports say what the last run saw: they are no part of an answer that runs do not change.
        """
        with serving.connect(self.settings) as tm:
            algebra = tm._merge.algebra
            tables = {name: tm.table(name) for name in (*algebra.measures, *algebra.derived)}
            tables |= {f"view {name}": tm.sql(f"SELECT * FROM {name}") for name in tm.views if name not in REPORTS}
        return {name: sorted(repr(row) for row in table.to_pylist()) for name, table in tables.items()}

    def count(self, sql: str) -> int:
        """One number of the merged views."""
        with serving.connect(self.settings) as tm:
            (row,) = tm.sql(f"SELECT coalesce(({sql}), 0)::BIGINT AS n").to_pylist()
        return int(row["n"])

    def published(self) -> str | None:
        """The run that answers are made of."""
        with open_store(self.settings.store).read() as reader:
            pointer = reader.pointer()
        return pointer.run_id if pointer else None

    def ensure_published(self, *, afresh: bool = False) -> None:
        """Publish a run where there is none that can be rolled back to (or in any case, `afresh`)."""
        with open_store(self.settings.store).read() as reader:
            pointer = reader.pointer()
        if afresh or pointer is None:
            self.await_visible()
            self.cli("nightly")

    def new_run_id(self) -> str:
        """A run id that was not used yet."""
        self._runs += 1
        return f"run-{self._runs:03}"

    def generation(self) -> int:
        """The generation that answers are made of."""
        with serving.connect(self.settings) as tm:
            return tm.as_of.generation or 0

    def log(self) -> int:
        """The log that answers are made of."""
        with serving.connect(self.settings) as tm:
            return tm.as_of.log or 0

    def execute(self, sql: str, **values: object) -> None:
        """Tamper with the store."""
        with open_store(self.settings.store).write() as writer:
            writer.connection.execute(text(sql), values)

    def records(self) -> int:
        """How many records the topic was given."""
        return sum(self.topics.ends(EVENTS.name).values())

    def bronze_rows(self) -> int:
        """How many records of the topic bronze holds; fails where it holds one twice."""
        names = DeltaTable(self.settings.table_path("bronze.events")).to_pyarrow_table(
            columns=["log", "partition", "offset"]
        )
        assert names.group_by(names.column_names).aggregate([]).num_rows == names.num_rows
        return int(pc.sum(pc.equal(names["log"], self.log())).as_py() or 0)

    def refusal(self, name: str) -> int:
        """The exit code with which a process ends for good; what a restart may cure is started again, as ever."""
        while (code := self.exit_code(name)) not in FATAL:
            self.start(name)
        return code

    def topic_is_gone(self) -> bool:
        try:
            self.topics.topic_id(EVENTS.name)
        except RecordsLost:
            return True
        return False

    def forget(self, *paths: str) -> None:
        """Delete files and folders of the installation."""
        for path in paths:
            found = list(self.home.glob(path))
            assert found, f"nothing at {path} to delete"
            for one in found:
                shutil.rmtree(one) if one.is_dir() else one.unlink()


def world(seed: int, messages: int = 1200) -> list[SourceItem]:
    """A small shop's messages in the order they are sent, dirtier than life: copies, late, broken, odd and forged."""
    dirt = {"copy_rate": 0.04, "late_rate": 0.1, "broken_rate": 0.01, "odd_clock_rate": 0.003, "synthetic_rate": 0.003}
    return list(simulate(SimulatorConfig(seed=seed, days=1, events_target=messages, **dirt)))


def _free_ports(count: int) -> list[int]:
    taken = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [int(server.getsockname()[1]) for server in taken]
    finally:
        for server in taken:
            server.close()
