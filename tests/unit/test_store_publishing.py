"""Publishing, rolling back, restoring: where the pointer stands and what is still held."""

from __future__ import annotations

from dataclasses import replace

import pytest

from contracts.errors import FenceRefused, NotPublished, RulesChanged, RunInvalid
from speed_layer.store import Log, Published, Store, Writer, open_store, speed_part
from tests.conftest_store import NOW, offsets_after, record, record_all, rows, together


def _run(writer: Writer, run_id: str, generation: int = 1) -> Published:
    writer.seal(run_id, generation, together, NOW)
    return writer.publish(run_id, f"{run_id}.json", NOW)


def _days(store: Store, runs: int) -> None:
    """`runs` published runs of two batches each, and one batch behind the last."""
    with store.write() as writer:
        for day in range(runs):
            record(writer, 2 * day)
            record(writer, 2 * day + 1)
            _run(writer, f"r{day + 1}")
        record(writer, 2 * runs)


def _new_rules(writer: Writer, start: int = 0) -> None:
    writer.create_generation(1, {0: start}, "h2", "r9", "catching_up", NOW, "new rules")
    writer.seal("r9", 2, together, NOW)


class TestPublish:
    def test_the_pointer_names_the_cut(self, live: Store) -> None:
        record_all(live, range(3))
        with live.write() as writer:
            assert writer.pointer() is None
            published = _run(writer, "r1")
            assert published == Published("r1", 1, offsets_after(2), "h1", "r1.json", NOW, 2, 0, None)
            assert writer.pointer() == published
            assert writer.published() == [published]

    def test_answers_take_what_is_behind_the_cut(self, live: Store) -> None:
        record_all(live, range(3))
        with live.write() as writer:
            assert rows(speed_part(writer).blocks) == [0, 1, 2]
            _run(writer, "r1")
            record(writer, 3)
            part = speed_part(writer)
            assert rows(part.blocks) == [3]
            assert part.generation == writer.generation(1)
            assert part.progress == writer.progress(1, 3)

    def test_twice_is_once(self, live: Store) -> None:
        with live.write() as writer:
            first = _run(writer, "r1")
            assert writer.publish("r1", "r1.json", NOW) == first
            assert len(writer.published()) == 1

    def test_segments_of_two_runs_are_held(self, live: Store) -> None:
        _days(live, 3)
        with live.read() as reader:
            assert [g.is_dropped for g in reader.segments(1)] == [True, True, False, False]
            assert rows(reader.blocks(1, after_segment=1)) == [4, 5, 6]
            assert [p.run_id for p in reader.published()] == ["r3", "r2", "r1"]
            assert reader.last_progress(1) == reader.progress(1, 6)
            assert reader.progress(1, 0)

    def test_dropped_segments_are_never_read_as_nothing(self, live: Store) -> None:
        _days(live, 2)
        with live.read() as reader, pytest.raises(RunInvalid, match=r"no longer holds segments \[0\]"):
            reader.blocks(1)

    def test_an_unknown_run_is_refused(self, live: Store) -> None:
        with live.write() as writer, pytest.raises(RunInvalid, match="No cut"):
            writer.publish("r1", "r1.json", NOW)

    def test_a_run_sealed_before_the_published_one_is_refused(self, live: Store) -> None:
        with live.write() as writer:
            writer.seal("early", 1, together, NOW)
            _run(writer, "late")
            with pytest.raises(RunInvalid, match="sealed before"):
                writer.publish("early", "early.json", NOW)

    def test_gold_of_other_rules_is_refused(self, live: Store) -> None:
        with live.write() as writer:
            writer.seal("r1", 1, together, NOW)
            with pytest.raises(RulesChanged, match="mixes rules"):
                writer.publish("r1", "r1.json", NOW, semantics_hash="h2")
            writer.connection.exec_driver_sql("UPDATE cuts SET semantics_hash = 'h2'")
            with pytest.raises(RulesChanged, match="mixes rules"):
                writer.publish("r1", "r1.json", NOW)
            assert writer.pointer() is None


class TestRulesChange:
    """r1 is published on generation 1; r9 is built at the same cut under h2, generation 2 starts there."""

    def test_the_catching_up_generation_is_mute_until_the_swap(self, live: Store) -> None:
        _days(live, 1)
        with live.write() as writer:
            _new_rules(writer, start=20)
            record(writer, 0, generation=2, rules="h2", start=20)
            assert rows(speed_part(writer).blocks) == [2]
            _run_two = writer.publish("r9", "r9.json", NOW)
            assert (_run_two.generation, _run_two.batch, _run_two.offsets) == (2, -1, {0: 20})
            assert rows(speed_part(writer).blocks) == [0]
            assert [g.state for g in writer.generations()] == ["retired", "active"]
            with pytest.raises(FenceRefused, match="retired"):
                record(writer, 3)

    def test_the_old_generation_may_publish_meanwhile(self, live: Store) -> None:
        _days(live, 1)
        with live.write() as writer:
            _new_rules(writer, start=20)
            record(writer, 0, generation=2, rules="h2", start=20)
            _run(writer, "r2")
            assert [g.state for g in writer.generations()] == ["active", "catching_up"]
            assert rows(writer.blocks(2, after_segment=0)) == [0]

    def test_there_is_no_way_back_over_it(self, live: Store) -> None:
        _days(live, 1)
        with live.write() as writer:
            _new_rules(writer, start=20)
            writer.publish("r9", "r9.json", NOW)
            with pytest.raises(RulesChanged) as refused:
                writer.rollback(NOW)
            assert "old code" in refused.value.remedy
            with pytest.raises(RunInvalid, match="retired"):
                writer.seal("r2", 1, together, NOW)

    def test_a_retired_generation_goes_when_no_kept_run_is_its_own(self, live: Store) -> None:
        _days(live, 1)
        with live.write() as writer:
            _new_rules(writer, start=20)
            writer.publish("r9", "r9.json", NOW)
            assert rows(writer.blocks(1, after_segment=0)) == [2]
            _run(writer, "r10", generation=2)
            assert writer.last_progress(1) is None
            assert writer.spans(1) == []
            with pytest.raises(RunInvalid):
                writer.blocks(1, after_segment=0)

    def test_a_run_of_a_retired_generation_is_refused(self, live: Store) -> None:
        _days(live, 1)
        with live.write() as writer:
            writer.seal("r2", 1, together, NOW)
            _new_rules(writer, start=20)
            writer.publish("r9", "r9.json", NOW)
            with pytest.raises(RunInvalid, match="retired"):
                writer.publish("r2", "r2.json", NOW)

    def test_same_rules_but_another_generation_is_no_way_back_either(self, live: Store) -> None:
        _days(live, 1)
        with live.write() as writer:
            writer.create_generation(1, {0: 20}, "h1", "r1", "catching_up", NOW, "the clock jumped")
            _run(writer, "r2", generation=2)
            with pytest.raises(RunInvalid, match="no longer runs"):
                writer.rollback(NOW)


class TestAdopt:
    """The clock jumped: generation 2 begins before the published cut, to warm up, and counts from the cut on."""

    def _begin(self, writer: Writer, rules: str = "h1") -> None:
        pointer = writer.pointer()
        writer.create_generation(
            1, {0: 10}, rules, pointer.run_id if pointer else None, "catching_up", NOW, "the clock jumped"
        )
        if pointer:
            writer.begin_behind_cut(2)

    def test_the_answer_goes_on_with_the_new_generation(self, live: Store) -> None:
        _days(live, 1)
        with live.write() as writer:
            self._begin(writer)
            record(writer, 0, generation=2, start=10)
            record(writer, 1, generation=2, start=10)
            assert rows(speed_part(writer).blocks) == [2]
            assert writer.adopt(2)
            part = speed_part(writer)
            assert part.pointer
            assert (part.pointer.run_id, part.pointer.generation, part.pointer.offsets) == ("r1", 2, {0: 20})
            assert rows(part.blocks) == [0, 1]
            assert [g.state for g in writer.generations()] == ["retired", "active"]

    def test_it_waits_where_another_run_was_published_meanwhile(self, live: Store) -> None:
        _days(live, 1)
        with live.write() as writer:
            self._begin(writer)
            _run(writer, "r2")
            assert not writer.adopt(2)
            assert writer.generation(2).state == "catching_up"

    def test_without_a_published_run_it_takes_over_whole(self, live: Store) -> None:
        record_all(live, range(2))
        with live.write() as writer:
            self._begin(writer)
            record(writer, 0, generation=2, start=10)
            assert writer.adopt(2)
            assert rows(speed_part(writer).blocks) == [0]

    def test_other_rules_are_refused(self, live: Store) -> None:
        _days(live, 1)
        with live.write() as writer:
            self._begin(writer, rules="h2")
            with pytest.raises(RulesChanged):
                writer.adopt(2)

    def test_it_is_not_sealed_before_it_has_passed_the_cut(self, live: Store) -> None:
        _days(live, 1)
        with live.write() as writer:
            self._begin(writer)
            writer.adopt(2)
            with pytest.raises(RunInvalid, match="before a cut"):
                writer.seal("r2", 2, together, NOW)
            record(writer, 0, generation=2, start=10)
            assert writer.seal("r2", 2, together, NOW).offsets == {0: 20}


class TestRollback:
    def test_goes_to_the_run_before(self, live: Store) -> None:
        _days(live, 2)
        with live.write() as writer:
            back = writer.rollback(NOW)
            assert (back.run_id, back.previous) == ("r1", None)
            assert writer.pointer() == back
            assert rows(speed_part(writer).blocks) == [2, 3, 4]

    def test_goes_back_one_run_only(self, live: Store) -> None:
        _days(live, 3)
        with live.write() as writer:
            assert writer.rollback(NOW).run_id == "r2"
            with pytest.raises(RunInvalid, match="dropped"):
                writer.rollback(NOW)
            pointer = writer.pointer()
            assert pointer
            assert pointer.run_id == "r2"

    def test_needs_a_run_to_go_back_to(self, live: Store) -> None:
        with live.write() as writer:
            with pytest.raises(NotPublished):
                writer.rollback(NOW)
            _run(writer, "r1")
            with pytest.raises(RunInvalid, match="No run was published before"):
                writer.rollback(NOW)

    def test_the_next_run_replaces_the_withdrawn_one(self, live: Store) -> None:
        _days(live, 2)
        with live.write() as writer:
            writer.rollback(NOW)
            assert _run(writer, "r3").previous == "r1"
            assert [g.is_dropped for g in writer.segments(1)] == [True, False, False, False]
            assert writer.rollback(NOW).run_id == "r1"
            assert rows(speed_part(writer).blocks) == [2, 3, 4]

    def test_the_withdrawn_run_may_come_back(self, live: Store) -> None:
        _days(live, 2)
        with live.write() as writer:
            writer.rollback(NOW)
            assert writer.publish("r2", "r2.json", NOW).previous == "r1"
            assert rows(speed_part(writer).blocks) == [4]
            assert [p.run_id for p in writer.published()] == ["r2", "r1"]


class TestRestore:
    LOST = Published("r7", 3, {0: 70}, "h1", "r7.json", NOW, 12, 4, "r6")
    LOG = Log(2, "events", "topic-b", NOW)

    def test_an_empty_store_goes_on_at_the_manifests_cut(self, store_url: str) -> None:
        with open_store(store_url) as store, store.write() as writer:
            generation = writer.restore(self.LOST, self.LOG, NOW, "the store was lost")
            assert (generation.number, generation.start, generation.state) == (4, {0: 70}, "active")
            assert (generation.log, generation.anchor_run) == (2, "r7")
            expected = replace(self.LOST, generation=4, batch=-1, segment=0, previous=None)
            assert writer.pointer() == expected
            assert record(writer, 0, generation=4, start=70) == "written"
            assert rows(speed_part(writer).blocks) == [0]
            assert writer.register_log("events", "topic-b", NOW) == self.LOG
            assert _run(writer, "r8", generation=4).previous == "r7"
            assert writer.rollback(NOW) == expected
            assert rows(speed_part(writer).blocks) == [0]

    def test_a_generation_started_by_mistake_is_retired(self, live: Store) -> None:
        record_all(live, range(2))
        with live.write() as writer:
            writer.restore(self.LOST, self.LOG, NOW, "the store was lost")
            assert [(g.number, g.state) for g in writer.generations()] == [(1, "retired"), (4, "active")]
            assert rows(speed_part(writer).blocks) == []

    def test_a_store_that_is_not_lost_is_left_alone(self, live: Store) -> None:
        with live.write() as writer:
            _run(writer, "r1")
            with pytest.raises(RunInvalid, match="not a lost one"):
                writer.restore(self.LOST, self.LOG, NOW, "by mistake")

    def test_a_log_of_another_topic_is_refused(self, live: Store) -> None:
        with live.write() as writer, pytest.raises(RunInvalid, match="topic-a"):
            writer.restore(self.LOST, replace(self.LOG, number=1), NOW, "the store was lost")
