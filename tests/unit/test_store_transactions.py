"""One snapshot means one; writers come one after the other; what is not committed was never there."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Barrier, Event

import pytest
from sqlalchemy.exc import DBAPIError

from contracts.errors import StoreUnavailable
from speed_layer.store import Store, open_store, speed_part
from tests.conftest_store import NOW, offsets_after, record, record_all, rows

UNCOMMITTED = """
import sys
from speed_layer.store import open_store
from tests.conftest_store import record
with open_store(sys.argv[1]).write() as writer:
    record(writer, 0)
    writer.set_note("half", "written")
    print("written", flush=True)
    sys.stdin.read()
"""
UNTIL_FULL = """
import resource, signal, sys
import pyarrow as pa
from contracts.errors import StoreUnavailable
from speed_layer.store import open_store
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = open_store(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
noise = pa.table({"batch": pa.array([0]), "noise": pa.array([open("/dev/urandom", "rb").read(90_000)])})
batch = 0
try:
    while batch < 50:
        with store.write() as writer:
            writer.record_batch(
                1, batch, {0: batch}, {0: batch + 1}, batch, "h1", {"m": noise, "n": noise}, horizon_seconds=9
            )
        batch += 1
except StoreUnavailable as error:
    print(batch, error.remedy, sep="|")
"""


def test_a_commit_cannot_slip_between_two_reads(live: Store) -> None:
    with live.read() as reader:
        assert reader.last_progress(1) is None
        record_all(live, range(1))
        assert reader.last_progress(1) is None
        assert reader.blocks(1) == []
        assert speed_part(reader).progress is None
    with live.read() as reader:
        assert rows(speed_part(reader).blocks) == [0]


def test_the_snapshot_is_that_of_the_first_line(live: Store) -> None:
    with live.read() as reader:
        record_all(live, range(1))
        assert reader.last_progress(1) is None


def test_readers_always_see_whole_batches(live: Store) -> None:
    done = Event()

    def follow() -> int:
        seen = 0
        while not done.is_set():
            with live.read() as reader:
                part = speed_part(reader)
                last = part.progress.batch if part.progress else -1
                assert rows(part.blocks) == list(range(last + 1))
                seen += 1
        return seen

    with ThreadPoolExecutor() as pool:
        readers = [pool.submit(follow) for _ in range(2)]
        try:
            record_all(live, range(40))
        finally:
            done.set()
        assert all(reader.result() for reader in readers)


def test_writers_come_one_after_the_other(live: Store) -> None:
    start = Barrier(4)

    def add() -> None:
        start.wait()
        for _ in range(10):
            with live.write() as writer:
                writer.set_note("sum", str(int(writer.note("sum") or 0) + 1))

    with ThreadPoolExecutor() as pool:
        for adding in [pool.submit(add) for _ in range(4)]:
            adding.result()
    with live.read() as reader:
        assert reader.note("sum") == "40"


def test_a_writer_that_waited_sees_what_it_waited_for(live: Store) -> None:
    """The lock comes before the snapshot: otherwise the second writer would refuse batch 1."""
    entered = Event()

    def second() -> str:
        entered.wait()
        with live.write() as writer:
            return record(writer, 1)

    with ThreadPoolExecutor() as pool:
        with live.write() as writer:
            waiting = pool.submit(second)
            entered.set()
            record(writer, 0)
            with pytest.raises(TimeoutError):
                waiting.result(0.2)
        assert waiting.result(10) == "written"


def test_an_error_inside_a_write_leaves_nothing(live: Store) -> None:
    def fail_half_way() -> None:
        with live.write() as writer:
            record(writer, 0)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_half_way()
    _holds_nothing(live)


def test_a_killed_writer_leaves_nothing(live: Store, store_url: str) -> None:
    with _child(UNCOMMITTED, store_url) as writer:
        assert writer.stdout
        assert writer.stdout.readline() == "written\n"
        writer.kill()
        writer.wait()
    _holds_nothing(live)
    record_all(live, range(1))


def test_after_a_failed_statement_nothing_more_is_written(live: Store) -> None:
    """SQLite ends the transaction by itself on some errors; what follows must not be written on its own."""

    def go_on_regardless() -> None:
        with live.write() as writer:
            record(writer, 0)
            with pytest.raises(DBAPIError, match="nowhere"):
                writer.connection.exec_driver_sql("SELECT * FROM nowhere")
            writer.set_note("half", "written")

    with pytest.raises(StoreUnavailable):
        go_on_regardless()
    _holds_nothing(live)


def test_a_full_disk_is_said_and_leaves_whole_batches(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'store.sqlite'}"
    with open_store(url) as store, store.write() as writer:
        log = writer.register_log("events", "topic-a", NOW)
        writer.create_generation(log.number, {}, "h1", None, "active", NOW, "first start")
    with _child(UNTIL_FULL, url) as filling:
        said = filling.communicate(timeout=30)[0]
    batches, remedy = said.strip().split("|")
    assert "Free space" in remedy
    with open_store(url) as store, store.read() as reader:
        last = reader.last_progress(1)
        assert last is not None
        assert last.batch == int(batches) - 1
        assert [b.from_batch for b in reader.blocks(1)] == 2 * list(range(int(batches)))


def test_a_store_held_for_too_long_is_said(live: Store, monkeypatch: pytest.MonkeyPatch, store_url: str) -> None:
    monkeypatch.setattr("speed_layer.store.backends.WAIT_SECONDS", 1)
    with open_store(store_url) as impatient, live.write():
        with pytest.raises(StoreUnavailable) as refused, impatient.write():
            pass
        assert "Another process" in refused.value.remedy


def test_reading_does_not_wait_for_a_writer(live: Store) -> None:
    with live.write() as writer:
        record(writer, 0)
        with live.read() as reader:
            assert reader.last_progress(1) is None
    with live.read() as reader:
        last = reader.last_progress(1)
        assert last is not None
        assert last.to_offsets == offsets_after(0)


def _holds_nothing(store: Store) -> None:
    with store.read() as reader:
        assert reader.last_progress(1) is None
        assert reader.blocks(1) == []
        assert reader.note("half") is None


@contextmanager
def _child(program: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", program, *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
