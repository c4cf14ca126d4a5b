"""Laws of the speed store, over random batches, folds, seals, publishes and rollbacks.

* fold: combine(blocks) is the same whatever was folded when, and equals the partials of all events at once;
* coverage: what the published run holds and what the speed part holds are disjoint, and together everything;
* following: a reader that takes up only what is new holds the same as one that reads everything.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.algebra import Algebra, connect
from contracts.errors import RulesChanged, RunInvalid
from contracts.fields import EVENT
from contracts.settings import Settings
from speed_layer.store import Block, Published, Span, Store, Writer, open_store, speed_part
from speed_layer.store.folding import FAN_IN, plan
from tests.conftest_store import NOW, rows, together

ALGEBRA = Algebra.of(Settings().rules)
DUCK = connect()
LAW = settings(
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)


def combine(measure: str, parts: list[pa.Table]) -> pa.Table:
    return ALGEBRA.combine(DUCK, measure, parts)


# -- fold ----------------------------------------------------------------------------------------------------------

EVENTS = st.fixed_dictionaries(
    {
        "visitor": st.sampled_from(["ann", "bob"]),
        "event_time": st.integers(0, 240).map(
            lambda minute: datetime(2024, 5, 1, tzinfo=UTC) + timedelta(minutes=minute)
        ),
        "kind": st.sampled_from(["view", "cart", "purchase", "refund", "search"]),
        "event_id": st.text("0123456789abcdef", min_size=8, max_size=8),
        "product_id": st.sampled_from(["p1", "p2"]),
        "order_id": st.sampled_from([None, "o1"]),
        "value_minor": st.integers(0, 1000),
        "currency": st.just("EUR"),
    }
)
BATCHES = st.lists(
    st.tuples(st.lists(EVENTS, max_size=4), st.sampled_from(["", "", "fold", "fold late", "aside", "seal"])),
    min_size=1,
    max_size=8,
)


@settings(LAW, max_examples=12)
@given(batches=BATCHES)
def test_folding_and_sealing_change_no_answer(live: Store, batches: list[tuple[list[dict[str, Any]], str]]) -> None:
    with live.write() as writer:
        generation = writer.create_generation(1, {}, "h1", None, "active", NOW, "a law").number
    for batch, (events, then) in enumerate(batches):
        with live.write() as writer:
            partials = ALGEBRA.partials(DUCK, pa.Table.from_pylist(events, EVENT))
            writer.record_batch(
                generation, batch, {0: batch}, {0: batch + 1}, batch * 1000, "h1", partials, horizon_seconds=9
            )
            _then(writer, then, generation, batch)
        if then == "aside":
            live.fold(generation, combine, now_ms=batch * 1000, keep_seconds=1)
    with live.read() as reader:
        blocks = reader.blocks(generation)
        assert all(_one_segment(block, reader.segments(generation)) for block in blocks)
    everything = ALGEBRA.partials(DUCK, pa.Table.from_pylist([e for events, _ in batches for e in events], EVENT))
    for measure, expected in everything.items():
        parts = [b.table() for b in blocks if b.measure == measure]
        assert _content(combine(measure, [*parts, expected.slice(0, 0)])) == _content(expected)


def _then(writer: Writer, then: str, generation: int, batch: int) -> None:
    if then.startswith("fold"):
        writer.fold(generation, combine, now_ms=batch * 1000, keep_seconds=2 if then == "fold late" else 0)
    elif then == "seal":
        writer.seal(f"r{generation}-{batch}", generation, combine, NOW)


def _one_segment(block: Block, segments: list[Any]) -> bool:
    own = segments[block.segment]
    return bool(own.first_batch <= block.from_batch and (own.last_batch is None or block.to_batch <= own.last_batch))


def _content(table: pa.Table) -> list[str]:
    return sorted(map(repr, table.to_pylist()))


# -- the plan of a fold --------------------------------------------------------------------------------------------


@settings(LAW, max_examples=150)
@given(
    arriving=st.lists(st.tuples(st.integers(1, 30), st.integers(1, 9)), min_size=1, max_size=40),
    largest=st.sampled_from([8, 40, 10**9]),
    keep=st.integers(0, 3),
)
def test_plans_keep_batches_in_order_and_come_to_rest(arriving: list[tuple[int, int]], largest: int, keep: int) -> None:
    spans: list[Span] = []
    batch = 0
    for count, size in arriving:
        spans += [Span(1, 0, "m", 0, batch + i, batch + i, 1, size) for i in range(count)]
        batch += count
        for _ in range(2):
            due = plan(spans, batch - 1 - keep, largest)
            spans = _applied(spans, due)
        assert due == []
        assert [s.from_batch for s in spans] == [0, *(s.to_batch + 1 for s in spans[:-1])]
        assert spans[-1].to_batch == batch - 1
        assert sum(s.rows for s in spans) == batch
        assert all(s.bytes <= max(largest, 9) for s in spans)
        if largest == 10**9:
            assert len(spans) <= keep + (FAN_IN - 1) * (1 + max(s.level for s in spans))


def _applied(spans: list[Span], due: list[Any]) -> list[Span]:
    gone = {part for merge in due for part in merge.parts}
    made = [
        replace(
            m.parts[0],
            level=m.level,
            to_batch=m.parts[-1].to_batch,
            rows=sum(p.rows for p in m.parts),
            bytes=sum(p.bytes for p in m.parts),
        )
        for m in due
    ]
    return sorted([s for s in spans if s not in gone] + made, key=lambda s: s.from_batch)


# -- coverage and following ----------------------------------------------------------------------------------------

STEPS = st.lists(
    st.sampled_from(["record"] * 5 + ["replay", "fold", "follow", "follow", "run", "run", "rollback", "rules", "swap"]),
    min_size=5,
    max_size=40,
)


@dataclass
class World:
    """A store, and beside it what must be in it. Batch b of a generation that starts at offset s is the row `s + b`."""

    store: Store
    ends: dict[int, int] = field(default_factory=lambda: {1: 0})
    runs: int = 0
    held: tuple[Published | None, int, list[int]] = (None, -1, [])

    def record(self) -> None:
        with self.store.write() as writer:
            for g in writer.generations():
                if g.state != "retired":
                    assert self._record(writer, g.number, self.ends[g.number]) == "written"
                    self.ends[g.number] += 1

    def replay(self) -> None:
        with self.store.write() as writer:
            for g in writer.generations():
                last = writer.last_progress(g.number)
                if g.state != "retired" and last:
                    assert self._record(writer, g.number, last.to_offsets[0] - 1) == "replayed"

    def _record(self, writer: Writer, generation: int, row: int) -> str:
        own = writer.generation(generation)
        batch = row - own.start.get(0, 0)
        table = {"m": pa.table({"batch": pa.array([row])})}
        ends = ({0: row}, {0: row + 1})
        return writer.record_batch(generation, batch, *ends, batch * 1000, own.semantics_hash, table, horizon_seconds=9)

    def fold(self) -> None:
        for generation in self.ends:
            self.store.fold(generation, together, now_ms=1000 * self.ends[generation], keep_seconds=2)

    def run(self) -> None:
        self.runs += 1
        with self.store.write() as writer:
            live = [g.number for g in writer.generations() if g.state == "active"][-1]
            writer.seal(f"r{self.runs}", live, together, NOW)
        self._record_if_live(live)
        with self.store.write() as writer:
            writer.publish(f"r{self.runs}", "manifest.json", NOW)

    def _record_if_live(self, generation: int) -> None:
        with self.store.write() as writer:
            self._record(writer, generation, self.ends[generation])
            self.ends[generation] += 1

    def rollback(self) -> None:
        with self.store.write() as writer:
            before = writer.pointer()
            if before is None:
                return
            try:
                after = writer.rollback(NOW)
            except (RunInvalid, RulesChanged):
                assert writer.pointer() == before
            else:
                assert after.semantics_hash == before.semantics_hash

    def rules(self) -> None:
        """Start a generation under new rules at the published cut, unless one is catching up already."""
        self.runs += 1
        with self.store.write() as writer:
            pointer, newest = writer.pointer(), writer.newest_generation()
            if pointer and newest and newest.state == "active":
                run_id = f"r{self.runs}"
                made = writer.create_generation(1, pointer.offsets, run_id, run_id, "catching_up", NOW, "new rules")
                writer.seal(run_id, made.number, together, NOW)
                self.ends[made.number] = pointer.offsets.get(0, 0)

    def swap(self) -> None:
        with self.store.write() as writer:
            newest = writer.newest_generation()
            if newest and newest.state == "catching_up":
                assert newest.anchor_run
                writer.publish(newest.anchor_run, "manifest.json", NOW)

    def follow(self) -> None:
        """Take up what is new; read everything only where the pointer moved or the store says so."""
        pointer, batch, seen = self.held
        with self.store.read() as reader:
            now = reader.pointer()
            last = reader.last_progress(now.generation if now else 1)
            fresh = reader.blocks_since(now.generation if now else 1, batch) if now == pointer else None
            part = speed_part(reader)
        seen = rows(part.blocks) if fresh is None else seen + rows(fresh)
        self.held = (now, last.batch if last else -1, seen)
        assert seen == rows(part.blocks)

    def check(self) -> None:
        with self.store.read() as reader:
            part = speed_part(reader)
        gold = list(range(part.pointer.offsets.get(0, 0) if part.pointer else 0))
        assert part.generation
        assert gold + rows(part.blocks) == list(range(self.ends[part.generation.number]))


@settings(LAW, max_examples=20)
@given(steps=STEPS)
def test_gold_and_speed_part_are_disjoint_and_everything(store_urls: Callable[[], str], steps: list[str]) -> None:
    with open_store(store_urls()) as store:
        with store.write() as writer:
            log = writer.register_log("events", "topic-a", NOW)
            writer.create_generation(log.number, {}, "h1", None, "active", NOW, "first start")
        world = World(store)
        for step in steps:
            getattr(world, step)()
            world.check()
        world.follow()
