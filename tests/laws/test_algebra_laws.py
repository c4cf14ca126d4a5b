"""Laws of the algebra, over random worlds; no Spark.

Each law is one small predicate, as in Summingbird: `MonoidLaws` of combine, `CutLaws` of the merged answer (L1, L2),
`OracleLaws` of what it must equal (L4). An example is a few worlds side by side, so 25 examples are 200 worlds.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from contracts.algebra import naive
from contracts.measures import QUALITY, SKETCH_SIZE
from contracts.names import covers, span
from serving.oracle.oracle import Oracle
from tests.laws.reference import Answer, Part, Reference, differing
from tests.worlds import Act, World, at_cut, crowds, cuts, dealt, ends_of, records, unique, worlds

LAW = settings(
    deadline=None,
    max_examples=25,
    phases=set(Phase) - {Phase.explain},
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)
FEW = settings(LAW, max_examples=4)


class MonoidLaws:
    """combine is associative and commutative, partials of nothing are its zero, and lifting may be split anyhow."""

    def __init__(self, reference: Reference) -> None:
        self.plus, self.part = reference.combine, reference.part

    def associative(self, a: Part, b: Part, c: Part) -> dict[str, object]:
        return differing(self.plus([self.plus([a, b]), c]), self.plus([a, self.plus([b, c])]))

    def commutative(self, a: Part, b: Part) -> dict[str, object]:
        return differing(self.plus([a, b]), self.plus([b, a]))

    def zero(self, a: Part) -> dict[str, object]:
        return differing(a, self.plus([a, {name: table.slice(0, 0) for name, table in a.items()}]))

    def homomorphic(self, hands: Sequence[Part], whole: Part, picks: Sequence[int]) -> dict[str, object]:
        """Folded two by two, in whatever order `picks` says, the hands are the whole."""
        left = list(hands)
        for pick in picks:
            first = left.pop(pick % len(left))
            left.append(self.plus([first, left.pop(pick // 7 % len(left))]))
        return differing(whole, left[0])


class CutLaws:
    """At any cut the two halves share no record, leave none out, and merge to one and the same answer."""

    def __init__(self, reference: Reference) -> None:
        self.reference = reference

    def publish_invariant(self, whole: Answer, table: pa.Table, cut: dict[int, int]) -> dict[str, object]:
        """Run r at `cut` and speed behind it answer as a run r + 1 that holds everything."""
        gold, speed = self.halves(table, cut)
        return differing(whole, self.reference.merged(gold, speed))

    def covering(self, table: pa.Table, cut: dict[int, int]) -> bool:
        gold, speed = (self.rows_of(part) for part in self.halves(table, cut))
        ends = ends_of(table)
        return covers(ends, cut) and (gold, speed) == (span({}, cut), span(cut, ends))

    def halves(self, table: pa.Table, cut: dict[int, int]) -> tuple[Answer, Part]:
        """Batch deduplicates what lies below the cut; live never forgot what it saw there."""
        below, _ = at_cut(table, cut)
        kept, copies = (at_cut(part, cut)[1] for part in unique(table))
        return self.reference.batch(below), self.reference.part(kept, copies)

    @staticmethod
    def rows_of(part: Part) -> int:
        return sum(part[QUALITY.name]["rows"].to_pylist())


class OracleLaws:
    """Every table is what the oracle makes of the raw records."""

    def __init__(self, reference: Reference) -> None:
        self.rules = reference.rules

    def exact(self, whole: Answer, table: pa.Table) -> dict[str, object]:
        oracle = Oracle(self.rules)
        oracle.load(table)
        expected = {name: oracle.table(name) for name in oracle.names}
        # The oracle counts in 64 bits; the width of an integer is no difference.
        return differing(expected, {name: naive(whole[name]).cast(e.schema) for name, e in expected.items()})


@LAW
@given(world=worlds(), data=st.data())
def test_combine_is_a_commutative_monoid(world: World, data: st.DataObject) -> None:
    reference = Reference(world.rules)
    laws = MonoidLaws(reference)
    a, b, c = (reference.part(hand) for hand in data.draw(dealt(unique(records(world))[0], 3), "hands"))
    assert laws.associative(a, b, c) == {}
    assert laws.commutative(a, b) == {}
    assert laws.zero(c) == {}


@LAW
@given(world=worlds(), data=st.data())
def test_any_micro_batches_folded_anyhow_are_the_partials_of_all(world: World, data: st.DataObject) -> None:
    check_folding(world, data)


@FEW
@given(world=crowds(), data=st.data())
def test_long_trails_fold_the_same(world: World, data: st.DataObject) -> None:
    check_folding(world, data)


def test_more_visitors_in_a_minute_than_a_sketch_holds() -> None:
    world = World((tuple(Act(visitor=number) for number in range(SKETCH_SIZE + 400)),))
    reference, table = Reference(world.rules), records(world)
    hands = [reference.part(table.slice(start, 1500)) for start in (3000, 0, 1500)]
    whole = reference.batch(table)
    assert MonoidLaws(reference).homomorphic(hands, reference.part(table), (1, 2)) == {}
    assert OracleLaws(reference).exact(whole, table) == {}
    assert [len(sketch) for sketch in whole["traffic_minute"]["visitor_hashes"].to_pylist()] == [SKETCH_SIZE]


def check_folding(world: World, data: st.DataObject) -> None:
    reference = Reference(world.rules)
    kept, _ = unique(records(world))
    hands = [reference.part(hand) for hand in data.draw(dealt(kept, 4), "hands")]
    picks = data.draw(st.lists(st.integers(0, 27), min_size=3, max_size=3), "folds")
    assert MonoidLaws(reference).homomorphic(hands, reference.part(kept), picks) == {}


@LAW
@given(world=worlds(), data=st.data())
def test_every_cut_gives_the_same_answer(world: World, data: st.DataObject) -> None:
    check_cuts(world, data)


@FEW
@given(world=crowds(), data=st.data())
def test_every_cut_through_a_long_trail_gives_the_same_answer(world: World, data: st.DataObject) -> None:
    check_cuts(world, data)


def check_cuts(world: World, data: st.DataObject) -> None:
    reference, table = Reference(world.rules), records(world)
    laws, whole = CutLaws(reference), reference.batch(table)
    assert laws.publish_invariant(whole, table, data.draw(cuts(table), "cut")) == {}


@LAW
@given(world=worlds(), data=st.data())
def test_halves_are_disjoint_and_together_all(world: World, data: st.DataObject) -> None:
    table = records(world)
    assert CutLaws(Reference(world.rules)).covering(table, data.draw(cuts(table), "cut"))


@LAW
@given(world=worlds())
def test_answer_is_the_oracles(world: World) -> None:
    check_oracle(world)


@LAW
@given(world=worlds(all_odd=True))
def test_answer_over_what_strangers_write_is_the_oracles(world: World) -> None:
    check_oracle(world)


@FEW
@given(world=crowds())
def test_answer_over_long_trails_is_the_oracles(world: World) -> None:
    check_oracle(world)


def check_oracle(world: World) -> None:
    reference, table = Reference(world.rules), records(world)
    assert OracleLaws(reference).exact(reference.batch(table), table) == {}
