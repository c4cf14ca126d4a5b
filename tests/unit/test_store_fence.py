"""The fence: what may be recorded after what."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pytest

from contracts.errors import ClockJumped, FenceRefused, RulesChanged, TidemarkError
from contracts.names import Offsets
from speed_layer.store import Generation, Progress, Recorded, Store
from speed_layer.store.fence import check, is_replay
from tests.conftest_store import NOW, record, record_all, rows, together

HORIZON = 100
GENERATION = Generation(1, 1, {0: 5}, "h1", None, "active", NOW, "")
FIRST = Progress(1, 0, {0: 5}, {0: 9}, 1_000_000, "h1", 0)
NEXT = Progress(1, 1, {0: 9}, {0: 9, 1: 4}, 1_000_500, "h1", 0)


def test_the_first_batch_starts_at_the_generations_start() -> None:
    check(GENERATION, None, FIRST, HORIZON)
    check(GENERATION, FIRST, NEXT, HORIZON)


@pytest.mark.parametrize(
    "start",
    [{0: 9, 1: 0}, {0: 9}, {0: 9, 7: 0}],
)
def test_a_partition_at_zero_is_as_good_as_absent(start: Offsets) -> None:
    check(GENERATION, FIRST, replace(NEXT, from_offsets=start), HORIZON)


@pytest.mark.parametrize(
    ("batch", "error"),
    [
        (replace(NEXT, from_offsets={0: 8}), FenceRefused),
        (replace(NEXT, from_offsets={0: 10}), FenceRefused),
        (replace(NEXT, from_offsets={0: 9, 1: 1}), FenceRefused),
        (replace(NEXT, from_offsets={}), FenceRefused),
        (replace(NEXT, to_offsets={0: 8}), FenceRefused),
        (replace(NEXT, to_offsets={1: 4}), FenceRefused),
        (replace(NEXT, batch=2), FenceRefused),
        (replace(NEXT, batch=-1), FenceRefused),
        (replace(NEXT, semantics_hash="h2"), RulesChanged),
        (replace(NEXT, batch_time_ms=999_999), ClockJumped),
        (replace(NEXT, batch_time_ms=1_050_001), ClockJumped),
    ],
)
def test_what_does_not_follow_is_refused(batch: Progress, error: type[TidemarkError]) -> None:
    with pytest.raises(error) as refused:
        check(GENERATION, FIRST, batch, HORIZON)
    assert refused.value.remedy


@pytest.mark.parametrize("step_ms", [0, 1, 50_000])
def test_batch_time_may_stand_still_and_run_up_to_half_the_horizon(step_ms: int) -> None:
    check(GENERATION, FIRST, replace(NEXT, batch_time_ms=FIRST.batch_time_ms + step_ms), HORIZON)


def test_the_first_batch_must_be_number_zero() -> None:
    with pytest.raises(FenceRefused, match="expects batch 0"):
        check(GENERATION, None, replace(FIRST, batch=17), HORIZON)


def test_a_retired_generation_takes_nothing() -> None:
    with pytest.raises(FenceRefused, match="retired"):
        check(replace(GENERATION, state="retired"), FIRST, NEXT, HORIZON)


def test_a_replay_is_told_by_range_and_rules_not_by_time() -> None:
    assert is_replay(NEXT, replace(NEXT, to_offsets={0: 9, 1: 4, 2: 0}))
    with pytest.raises(FenceRefused, match="was recorded as"):
        is_replay(NEXT, replace(NEXT, to_offsets={0: 9, 1: 5}))
    with pytest.raises(RulesChanged):
        is_replay(NEXT, replace(NEXT, semantics_hash="h2"))


def test_a_replay_writes_nothing(live: Store) -> None:
    record_all(live, range(3))
    with live.write() as writer:
        before = writer.counts()
        assert [record(writer, b) for b in (1, 2, 0)] == 3 * ["replayed"]
        assert writer.counts() == before
        assert record(writer, 3) == "written"


def test_a_replay_is_recognised_after_folding_and_sealing(live: Store) -> None:
    record_all(live, range(3))
    with live.write() as writer:
        writer.fold(1, together, 10_000, 0)
        writer.seal("r1", 1, together, NOW)
        assert record(writer, 2) == "replayed"
        assert record(writer, 3) == "written"
        assert rows(writer.blocks(1, after_segment=0)) == [3]


def test_a_refused_batch_writes_nothing(live: Store) -> None:
    record_all(live, range(1))
    with live.write() as writer:
        before = writer.counts()
        with pytest.raises(FenceRefused):
            record(writer, 2)
        with pytest.raises(RulesChanged):
            record(writer, 1, rules="h2")
        assert writer.counts() == before


def test_a_retired_generation_refuses_even_a_replay(live: Store) -> None:
    record_all(live, range(1))
    with live.write() as writer:
        writer.set_generation_state(1, "retired")
        with pytest.raises(FenceRefused, match="retired"):
            record(writer, 0)


def test_an_unknown_generation_is_refused(live: Store) -> None:
    with live.write() as writer, pytest.raises(FenceRefused, match="no generation 7") as refused:
        record(writer, 0, generation=7)
    assert "recover" in refused.value.remedy


def test_generations_do_not_disturb_each_other(live: Store) -> None:
    record_all(live, range(2))
    with live.write() as writer:
        writer.create_generation(1, {0: 10}, "h2", "r1", "catching_up", NOW, "new rules")
        assert record(writer, 0, generation=2, rules="h2", start=10) == "written"
        assert record(writer, 2) == "written"


def test_empty_tables_and_empty_batches_leave_progress_only(live: Store) -> None:
    with live.write() as writer:
        written: Recorded = writer.record_batch(
            1, 0, {}, {}, 0, "h1", {"m": pa.table({"batch": pa.array([], pa.int64())})}, horizon_seconds=HORIZON
        )
        assert written == "written"
        assert writer.blocks(1) == []
        last = writer.last_progress(1)
        assert last is not None
        assert (last.batch, last.segment) == (0, 0)


def test_old_progress_is_forgotten_and_what_may_be_replayed_is_kept(live: Store) -> None:
    record_all(live, range(6))
    with live.write() as writer:
        assert writer.forget_progress(1, kept=3) == 3
        assert writer.forget_progress(1, kept=3) == 0
        assert [record(writer, b) for b in (3, 4, 5)] == 3 * ["replayed"]
        with pytest.raises(FenceRefused):
            record(writer, 2)
        assert record(writer, 6) == "written"
        assert rows(writer.blocks(1, after_segment=-1)) == list(range(7))
        assert writer.forget_progress(7) == 0
