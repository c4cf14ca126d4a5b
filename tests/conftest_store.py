"""Speed stores for tests, in SQLite and in a PostgreSQL that is started for the session.

`store_url` gives an empty store's URL, once for each database; `store_urls` makes as many as a test wants;
`live` is an opened store in which generation 1 runs from offset 0 under the rules `h1`. `record` and `together` are a
batch, and a combine, so plain that a test can say what must come out: batch b is ten records and the one row `b`.
"""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pytest

from speed_layer.store import Block, Recorded, Store, Writer, open_store

START_SECONDS = 30
NOW = datetime(2024, 5, 1, tzinfo=UTC)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The URL of a PostgreSQL server of this test session."""
    programs = _programs()
    if programs is None:
        pytest.skip("no PostgreSQL programs on this machine (Debian: apt-get install postgresql)")
    home = Path(tempfile.mkdtemp(prefix="tidemark-pg-"))
    # The server refuses to run as root.
    user = _unprivileged() if os.getuid() == 0 else None
    if user:
        os.chown(home, user.pw_uid, user.pw_gid)
    who = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {}
    port = _free_port()
    server: subprocess.Popen[bytes] | None = None
    try:
        server = _start(programs, home, port, who)
        yield f"postgresql://tidemark@127.0.0.1:{port}/postgres"
    finally:
        if server:
            server.communicate(timeout=START_SECONDS)
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def store_urls(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], str]]:
    """A function that gives the URL of another empty store with every call."""
    made: list[str] = []
    server = request.getfixturevalue("postgresql") if request.param == "postgresql" else None

    def make() -> str:
        made.append(f"store_{os.urandom(6).hex()}")
        if server is None:
            return f"sqlite:///{tmp_path / made[-1]}.sqlite"
        _execute(server, f"CREATE SCHEMA {made[-1]}")
        return f"{server}?options=-csearch_path%3D{made[-1]}"

    yield make
    if server:
        _execute(server, *(f"DROP SCHEMA {name} CASCADE" for name in made))


@pytest.fixture
def store_url(store_urls: Callable[[], str]) -> str:
    """The URL of an empty store."""
    return store_urls()


@pytest.fixture
def live(store_url: str) -> Iterator[Store]:
    """A store with log 1 and the active generation 1, from offset 0, rules `h1`."""
    with open_store(store_url) as store:
        with store.write() as writer:
            log = writer.register_log("events", "topic-a", NOW)
            writer.create_generation(log.number, {}, "h1", None, "active", NOW, "first start")
        yield store


def offsets_after(batch: int, start: int = 0) -> dict[int, int]:
    """Where batch `batch` ends, when every batch is ten records of partition 0 and the generation began at `start`."""
    return {0: start + 10 * (batch + 1)}


def record(writer: Writer, batch: int, generation: int = 1, rules: str = "h1", start: int = 0) -> Recorded:
    """Record batch `batch`: ten records, one row, one second after the batch before."""
    table = pa.table({"batch": pa.array([batch])})
    ends = (offsets_after(batch - 1, start), offsets_after(batch, start))
    return writer.record_batch(generation, batch, *ends, 1000 * batch, rules, {"m": table}, horizon_seconds=100)


def record_all(store: Store, batches: range, generation: int = 1, rules: str = "h1") -> None:
    """Record batches, each in a transaction of its own."""
    for batch in batches:
        with store.write() as writer:
            record(writer, batch, generation, rules)


def together(measure: str, tables: list[pa.Table]) -> pa.Table:
    """The combine that forgets nothing: all rows."""
    return pa.concat_tables(tables)


def rows(blocks: list[Block]) -> list[int]:
    """The batches whose partials stand in these blocks, in their order."""
    return [row for block in blocks for row in block.table()["batch"].to_pylist()]


def _programs() -> Path | None:
    """The folder of `initdb` and `postgres`: Debian's newest, else that of the PATH."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[-3]))
    found = str(debian[-1]) if debian else shutil.which("initdb")
    return Path(found).parent if found else None


def _unprivileged() -> pwd.struct_passwd:
    names = {entry.pw_name for entry in pwd.getpwall()}
    return pwd.getpwnam("postgres" if "postgres" in names else "nobody")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# Stops the server when its input ends: also where the tests were killed.
_GUARD = '"$@" & read _; kill -INT $!; wait; rm -rf "$0"'


def _start(programs: Path, home: Path, port: int, who: dict[str, Any]) -> subprocess.Popen[bytes]:
    data = str(home / "data")
    make = [str(programs / "initdb"), "-D", data, "-A", "trust", "-U", "tidemark", "-E", "UTF8", "--locale=C"]
    subprocess.run([*make, "--no-sync"], check=True, cwd=home, stdout=subprocess.DEVNULL, **who)
    settings = {"fsync": "off", "listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": ""}
    settings |= {"max_connections": 60, "shared_buffers": "32MB", "autovacuum": "off"}
    run = [str(programs / "postgres"), "-D", data, *(f"--{k}={v}" for k, v in settings.items())]
    with (home / "log").open("wb") as log:
        server = subprocess.Popen(
            ["sh", "-c", _GUARD, str(home), *run], cwd=home, stdin=subprocess.PIPE, stdout=log, stderr=log, **who
        )
    wait = [str(programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
    for _ in range(START_SECONDS * 10):
        if subprocess.run(wait, check=False).returncode == 0:
            return server
        time.sleep(0.1)
    said = (home / "log").read_text()[-500:]
    server.communicate()
    raise RuntimeError(f"PostgreSQL did not start: {said}")


def _execute(server: str, *statements: str) -> None:
    with psycopg.connect(server, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)
