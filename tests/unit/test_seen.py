"""Live's memory of copies: the first of a key within the horizon, however often it is asked."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.errors import CheckpointLost, TidemarkError
from spark_jobs.transforms.batches import RECORD
from speed_layer.seen import Seen, Server, firsts

HORIZON = 3600
NOW = 1_700_000_000_000


def key(number: int) -> bytes:
    return number.to_bytes(16, "big")


@pytest.fixture
def seen(tmp_path: Path) -> Iterator[Seen]:
    memory = Seen(tmp_path / "seen", HORIZON)
    memory.begin(NOW)
    yield memory
    memory.close()


def test_the_lowest_offset_is_the_first_and_asking_again_says_the_same(seen: Seen) -> None:
    keys, places = [key(1), key(2), key(1)], [(0, 0), (0, 1), (0, 2)]
    assert seen.first(keys, places) == [True, True, False]
    assert seen.first(keys, places) == [True, True, False]
    assert seen.first([key(2), key(3)], [(1, 0), (1, 1)]) == [False, True]


@pytest.mark.parametrize(("after_seconds", "kept"), [(0, False), (HORIZON, False), (HORIZON + 1, True)])
def test_a_copy_counts_again_behind_the_horizon(seen: Seen, after_seconds: int, kept: bool) -> None:
    seen.first([key(1)], [(0, 0)])
    seen.begin(NOW + after_seconds * 1000)
    assert seen.first([key(1)], [(0, 9)]) == [kept]
    assert seen.first([key(1)], [(0, 9)]) == [kept]


def test_what_is_out_of_the_horizon_is_deleted(seen: Seen, tmp_path: Path) -> None:
    for era in range(5):
        seen.begin(NOW + era * HORIZON * 1000)
        seen.first([key(era)], [(0, era)])
    assert len(list((tmp_path / "seen").iterdir())) == 2


def test_it_is_there_after_a_restart(seen: Seen, tmp_path: Path) -> None:
    seen.first([key(1)], [(0, 0)])
    seen.sync()
    seen.close()
    again = Seen(tmp_path / "seen", HORIZON)
    again.begin(NOW + 1)
    assert again.first([key(1), key(1)], [(0, 0), (0, 1)]) == [True, False]
    again.close()


def test_only_one_process_has_it(seen: Seen, tmp_path: Path) -> None:
    with pytest.raises(TidemarkError, match="Another live query"):
        Seen(tmp_path / "seen", HORIZON).begin(NOW)


def test_a_damaged_memory_is_said(seen: Seen, tmp_path: Path) -> None:
    seen.first([key(1)], [(0, 0)])
    seen.close()
    for folder in (tmp_path / "seen").iterdir():
        (folder / "CURRENT").write_text("nonsense")
    with pytest.raises(CheckpointLost, match="keys that live has seen"):
        seen.begin(NOW)
    shutil.rmtree(tmp_path / "seen")


def test_workers_ask_over_a_socket_and_records_without_a_key_are_never_copies(seen: Seen) -> None:
    server = Server(seen)
    keys = [key(1), None, key(1), b"short", None, b"short", key(2)]
    rows = [{"log": 1, "partition": 0, "offset": i, "dedupe_key": k, "value": b""} for i, k in enumerate(keys)]
    records = pa.Table.from_pylist(rows, RECORD)
    for _ in range(2):
        assert firsts(server.address)(records)["offset"].to_pylist() == [0, 1, 3, 4, 5, 6]
    server.close()


def test_a_stranger_is_not_answered(seen: Seen) -> None:
    server = Server(seen)
    place, _ = server.address
    with pytest.raises((AuthenticationError, EOFError, OSError)):
        Client(place, authkey=b"guess")
    records = pa.Table.from_pylist([{"log": 1, "partition": 0, "offset": 0, "dedupe_key": key(1)}], RECORD)
    assert firsts(server.address)(records).num_rows == 1, "the server goes on"
    server.close()


def test_a_failure_reaches_the_task(tmp_path: Path) -> None:
    server = Server(Seen(tmp_path / "seen", HORIZON))
    records = pa.Table.from_pylist([{"log": 1, "partition": 0, "offset": 0, "dedupe_key": key(1)}], RECORD)
    with pytest.raises(RuntimeError, match="begin a micro-batch"):
        firsts(server.address)(records)


@settings(deadline=None, max_examples=200)
@given(
    batches=st.lists(
        st.tuples(st.integers(0, 2 * HORIZON), st.lists(st.integers(0, 5), max_size=6), st.integers(1, 2)), max_size=6
    )
)
def test_it_equals_a_dictionary(tmp_path_factory: pytest.TempPathFactory, batches: list) -> None:  # type: ignore[type-arg]
    memory = Seen(tmp_path_factory.mktemp("seen"), HORIZON)
    model: dict[int, tuple[int, int]] = {}
    now, offset = NOW, 0
    for later, numbers, times in batches:
        now += later * 1000
        expected = []
        for i, number in enumerate(numbers):
            since = model.get(number, (0, -(10**15)))[1]
            expected.append(now - since > HORIZON * 1000)
            if expected[-1]:
                model[number] = (offset + i, now)
        memory.begin(now)
        for _ in range(times):
            assert memory.first([key(n) for n in numbers], [(0, offset + i) for i in range(len(numbers))]) == expected
        offset += len(numbers)
    memory.close()
