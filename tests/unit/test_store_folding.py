"""Folding: which blocks become one, and what a reader that follows along sees of it."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pytest

from contracts.errors import FenceRefused, RunInvalid
from speed_layer.store import Span, Store
from speed_layer.store.folding import FAN_IN, Merge, plan
from tests.conftest_store import NOW, offsets_after, record, record_all, rows, together


def _spans(levels: list[int], bytes_each: int = 1, segment: int = 0, measure: str = "m") -> list[Span]:
    return [Span(1, segment, measure, level, i, i, 1, bytes_each) for i, level in enumerate(levels)]


def _shape(merges: list[Merge]) -> list[tuple[int, int, int]]:
    return [(m.level, m.parts[0].from_batch, m.parts[-1].to_batch) for m in merges]


def test_single_batches_become_one_block() -> None:
    assert _shape(plan(_spans([0, 0, 0]), up_to=2)) == [(1, 0, 2)]


def test_young_batches_stay_single() -> None:
    assert _shape(plan(_spans([0, 0, 0]), up_to=1)) == [(1, 0, 1)]
    assert plan(_spans([0, 0, 0]), up_to=-1) == []


def test_sixteen_blocks_of_a_level_become_one_of_the_next() -> None:
    assert plan(_spans([1] * 15), up_to=99) == []
    assert _shape(plan(_spans([1] * 16), up_to=99)) == [(2, 0, 15)]
    assert _shape(plan(_spans([1] * 33), up_to=99)) == [(2, 0, 15), (2, 16, 31)]


def test_levels_rise_together_in_one_merge() -> None:
    merges = plan(_spans([2] * 15 + [1] * 15 + [0, 0]), up_to=99)
    assert _shape(merges) == [(3, 0, 31)]
    assert len(merges[0].parts) == 32


def test_a_fold_never_crosses_a_seal_or_a_measure() -> None:
    assert plan(_spans([1] * 10) + _spans([1] * 10, segment=1), up_to=99) == []
    spans = _spans([0, 0]) + _spans([0, 0], measure="n") + _spans([0, 0], segment=1)
    assert [(m.parts[0].segment, m.parts[0].measure, len(m.parts)) for m in plan(spans, up_to=9)] == [
        (0, "m", 2),
        (0, "n", 2),
        (1, "m", 2),
    ]


def test_large_blocks_are_not_put_together() -> None:
    pairs = plan(_spans([1] * FAN_IN, bytes_each=6), up_to=99, largest=12)
    assert _shape(pairs) == [(2, i, i + 1) for i in range(0, FAN_IN, 2)]
    assert plan(_spans([1] * 3 * FAN_IN, bytes_each=7), up_to=99, largest=12) == []
    assert _shape(plan(_spans([0] * 3, bytes_each=20), up_to=99, largest=12)) == [(1, i, i) for i in range(3)]


def test_what_lies_on_either_side_of_a_large_block_never_meets() -> None:
    spans = _spans([1] * 31)
    spans[10] = replace(spans[10], bytes=7)
    assert _shape(plan(spans, up_to=99, largest=12)) == [(2, 11, 22), (2, 23, 26)]


def test_a_day_of_folding_leaves_few_blocks(live: Store) -> None:
    with live.write() as writer:
        for batch in range(300):
            record(writer, batch)
            if batch % 2:
                writer.fold(1, together, 1000 * batch, keep_seconds=0)
        assert rows(writer.blocks(1)) == list(range(300))
        assert len(writer.blocks(1)) < 3 * FAN_IN
        assert writer.progress(1, 0)


def test_a_fold_says_what_it_did(live: Store) -> None:
    record_all(live, range(5))
    with live.write() as writer:
        report = writer.fold(1, together, now_ms=4000, keep_seconds=1)
        assert (report.up_to_batch, report.blocks_before, report.blocks_after) == (3, 4, 1)
        assert (report.rows_before, report.rows_after) == (4, 4)
        assert writer.fold(1, together, now_ms=4000, keep_seconds=1).blocks_before == 0
        assert writer.fold(1, together, now_ms=-1).up_to_batch is None
        assert [b.level for b in writer.blocks(1)] == [1, 0]


def test_an_unknown_generation_cannot_be_folded(live: Store) -> None:
    with pytest.raises(FenceRefused):
        live.fold(9, together, 0)


def test_timestamps_come_back_naive(live: Store) -> None:
    table = pa.table({"at": pa.array([NOW], pa.timestamp("us", "UTC"))})
    with live.write() as writer:
        writer.record_batch(1, 0, {}, {0: 1}, 0, "h1", {"m": table}, horizon_seconds=9)
        back = writer.blocks(1)[0].table()
    assert back.schema.field("at").type == pa.timestamp("us")
    assert back["at"].to_pylist() == [NOW.replace(tzinfo=None)]


class TestFollowing:
    """A reader that holds everything up to a batch, and asks for what came since."""

    def test_new_batches_only(self, live: Store) -> None:
        record_all(live, range(6))
        assert _since(live, 3) == [4, 5]
        assert _since(live, 5) == []
        assert _since(live, -1) == [0, 1, 2, 3, 4, 5]

    def test_what_was_folded_behind_it_does_not_matter(self, live: Store) -> None:
        record_all(live, range(6))
        live.fold(1, together, now_ms=5000, keep_seconds=2)
        assert _since(live, 3) == [4, 5]
        assert _since(live, 4) == [5]

    def test_a_block_across_its_place_sends_it_back_to_the_start(self, live: Store) -> None:
        record_all(live, range(6))
        live.fold(1, together, now_ms=5000, keep_seconds=2)
        assert _since(live, 2) is None
        assert _since(live, -1) == [0, 1, 2, 3, 4, 5]

    def test_dropped_segments_send_it_back_to_the_start(self, live: Store) -> None:
        record_all(live, range(4))
        with live.write() as writer:
            writer.seal("r1", 1, together, NOW)
            writer.publish("r1", "r1.json", NOW)
        assert _since(live, 1) is None
        assert _since(live, 3) == []


class TestBeside:
    """`Store.fold` combines outside the writers' lock; others may write meanwhile."""

    def test_gives_what_the_fold_inside_gives(self, live: Store) -> None:
        record_all(live, range(6))
        report = live.fold(1, together, now_ms=5000, keep_seconds=1)
        assert (report.blocks_before, report.blocks_after) == (5, 1)
        with live.read() as reader:
            assert rows(reader.blocks(1)) == [0, 1, 2, 3, 4, 5]

    def test_a_batch_may_come_in_between(self, live: Store) -> None:
        record_all(live, range(3))

        def meanwhile(measure: str, tables: list[pa.Table]) -> pa.Table:
            record_all(live, range(3, 4))
            return together(measure, tables)

        live.fold(1, meanwhile, now_ms=9000, keep_seconds=0)
        assert _since(live, -1) == [0, 1, 2, 3]

    def test_a_publish_in_between_wins(self, live: Store) -> None:
        record_all(live, range(3))

        def meanwhile(measure: str, tables: list[pa.Table]) -> pa.Table:
            with live.write() as writer:
                writer.seal("r1", 1, together, NOW)
                writer.publish("r1", "r1.json", NOW)
            return together(measure, tables)

        assert live.fold(1, meanwhile, now_ms=9000, keep_seconds=0).blocks_after == 0
        with live.read() as reader:
            assert reader.spans(1) == []


class TestSealing:
    def test_closes_the_segment_behind_the_last_batch(self, live: Store) -> None:
        record_all(live, range(3))
        with live.write() as writer:
            cut = writer.seal("r1", 1, together, NOW)
            record(writer, 3)
            assert (cut.batch, cut.segment, cut.offsets) == (2, 0, offsets_after(2))
            assert [(g.number, g.first_batch, g.last_batch, g.run_id) for g in writer.segments(1)] == [
                (0, 0, 2, "r1"),
                (1, 3, None, None),
            ]
            assert [(b.segment, b.level, b.from_batch, b.to_batch) for b in writer.blocks(1)] == [
                (0, 1, 0, 2),
                (1, 0, 3, 3),
            ]

    def test_twice_is_once(self, live: Store) -> None:
        record_all(live, range(3))
        cut = _seal(live, "r1")
        record_all(live, range(3, 5))
        assert _seal(live, "r1") == cut
        with live.read() as reader:
            assert reader.cut("r1") == cut
            assert len(reader.segments(1)) == 2

    def test_before_any_batch_the_cut_is_the_start(self, live: Store) -> None:
        with live.write() as writer:
            writer.create_generation(1, {0: 40}, "h2", "r9", "catching_up", NOW, "new rules")
            cut = writer.seal("r9", 2, together, NOW)
            assert (cut.batch, cut.offsets, cut.semantics_hash) == (-1, {0: 40}, "h2")
            assert record(writer, 0, generation=2, rules="h2", start=40) == "written"
            assert [(g.first_batch, g.last_batch) for g in writer.segments(2)] == [(0, -1), (0, None)]

    def test_one_run_is_sealed_on_one_generation(self, live: Store) -> None:
        _seal(live, "r1")
        with live.write() as writer:
            writer.create_generation(1, {}, "h2", None, "catching_up", NOW, "new rules")
            with pytest.raises(RunInvalid, match="already"):
                writer.seal("r1", 2, together, NOW)

    def test_a_retired_generation_is_not_sealed(self, live: Store) -> None:
        with live.write() as writer:
            writer.set_generation_state(1, "retired")
            with pytest.raises(RunInvalid, match="retired"):
                writer.seal("r1", 1, together, NOW)

    def test_bronzes_version_is_written_down(self, live: Store) -> None:
        _seal(live, "r1")
        with live.write() as writer:
            writer.set_bronze_version("r1", 17)
            assert [cut.bronze_version for cut in writer.cuts()] == [17]
            with pytest.raises(RunInvalid):
                writer.set_bronze_version("r2", 17)


def _seal(store: Store, run_id: str) -> object:
    with store.write() as writer:
        return writer.seal(run_id, 1, together, NOW)


def _since(store: Store, batch: int) -> list[int] | None:
    with store.read() as reader:
        found = reader.blocks_since(1, batch)
        return None if found is None else rows(found)
