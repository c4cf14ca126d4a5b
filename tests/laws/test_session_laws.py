"""What a session is: pinned cases, and the algebra against the loop anyone would write (Spark: tests/parity)."""

from __future__ import annotations

from random import Random

import pyarrow as pa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.algebra import Algebra
from contracts.settings import Settings
from tests.laws.reference import CON
from tests.laws.sessions import GAP, GAP_SECONDS, START, by_hand, cases, expected, found_in, views
from tests.worlds import dealt

ALGEBRA = Algebra.of(Settings(session_gap_seconds=GAP_SECONDS).rules)
STEPS = st.sampled_from([0, 0, 0, 0, GAP, GAP - 1, GAP + 1, 1, -1, -GAP, GAP + 1000, 60_000_000, 2 * GAP])
# Events of one instant must not part, however the engine sorts them: it takes a few dozen for that to be a question.
MOMENTS = st.integers(0, 70).flatmap(
    lambda size: st.lists(st.tuples(st.sampled_from(["ann", "bob"]), STEPS), min_size=size, max_size=size)
)


def chained(steps: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """Moments that follow one another by these steps, so that exact gaps are common."""
    at, moments = START, []
    for visitor, step in steps:
        at += step
        moments.append((visitor, at))
    return moments


def sessions_of(hands: list[pa.Table]) -> pa.Table:
    parts = [ALGEBRA.partial(CON, "sessions", hand) for hand in hands]
    return ALGEBRA.combine(CON, "sessions", parts)


def test_cases_by_hand() -> None:
    assert sorted(by_hand(cases())) == expected()


def test_cases_in_the_algebra() -> None:
    assert found_in(sessions_of([views(cases())])) == expected()


def test_cases_in_the_algebra_a_few_events_at_a_time() -> None:
    events = views(reversed(cases()))
    assert found_in(sessions_of([events.slice(i, 5) for i in range(0, len(events), 5)])) == expected()


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(steps=MOMENTS, chance=st.randoms(use_true_random=False))
def test_sessions_are_those_cut_by_hand_whatever_the_order(steps: list[tuple[str, int]], chance: Random) -> None:
    moments = chained(steps)
    chance.shuffle(moments)
    assert found_in(sessions_of([views(moments)])) == sorted(by_hand(moments))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(steps=MOMENTS, data=st.data())
def test_sessions_of_micro_batches_are_those_cut_by_hand(steps: list[tuple[str, int]], data: st.DataObject) -> None:
    moments = chained(steps)
    hands = data.draw(dealt(views(moments), 2), "hands")
    assert found_in(sessions_of(hands)) == sorted(by_hand(moments))
