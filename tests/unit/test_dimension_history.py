"""Versions of products: any sequence of snapshots says, at every moment, what the last one before it said."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, Final

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.algebra import naive
from contracts.dimensions import CAMPAIGN_COSTS, PRODUCTS
from contracts.errors import DimensionInvalid
from infra.dimensions.history import changed_keys, history, replaced, snapshot

START: Final = datetime(2024, 5, 1, tzinfo=UTC)
EMPTY: Final = naive(PRODUCTS.schema.empty_table())
IDS: Final = ("p1", "p2", "p3")


def moment(hours: int) -> datetime:
    return START + timedelta(hours=hours)


def said(products: dict[str, str | None]) -> pa.Table:
    """A snapshot that gives each product a category."""
    return pa.Table.from_pylist(
        [{"product_id": p, "category": c, "currency": "USD"} for p, c in products.items()], PRODUCTS.schema
    )


def versions(table: pa.Table) -> list[tuple[str, str | None, int, int | None]]:
    """product, category, and the hours it holds."""

    def hours(at: datetime | None) -> int | None:
        return None if at is None else int((at.replace(tzinfo=UTC) - START) / timedelta(hours=1))

    rows = table.to_pylist()
    return [(r["product_id"], r["category"], hours(r["valid_from"]) or 0, hours(r["valid_to"])) for r in rows]


def holding(table: pa.Table, hour: int) -> dict[str, str | None]:
    """What the versions say at an hour."""
    return {p: c for p, c, begins, ends in versions(table) if begins <= hour and (ends is None or hour < ends)}


def taken(*snapshots: tuple[int, dict[str, str | None], bool]) -> pa.Table:
    held = EMPTY
    for hour, products, is_complete in snapshots:
        held = snapshot(held, said(products), moment(hour), is_complete=is_complete)
    return held


def test_a_changed_product_gets_another_version_and_the_others_stay() -> None:
    held = taken((1, {"p1": "a", "p2": "b"}, False), (5, {"p1": "c", "p2": "b"}, False))
    assert versions(held) == [("p1", "a", 1, 5), ("p1", "c", 5, None), ("p2", "b", 1, None)]


def test_a_product_that_a_file_leaves_out_stays_open_unless_the_file_is_complete() -> None:
    first = (1, {"p1": "a", "p2": "b"}, False)
    assert versions(taken(first, (5, {"p1": "a"}, False))) == [("p1", "a", 1, None), ("p2", "b", 1, None)]
    closed = taken(first, (5, {"p1": "a"}, True))
    assert versions(closed) == [("p1", "a", 1, None), ("p2", "b", 1, 5)]
    again = snapshot(closed, said({"p2": "b"}), moment(9), is_complete=False)
    assert versions(again) == [("p1", "a", 1, None), ("p2", "b", 1, 5), ("p2", "b", 9, None)]


def test_a_snapshot_at_the_same_moment_corrects_the_one_before() -> None:
    held = taken((1, {"p1": "a"}, False), (5, {"p1": "typo"}, False), (5, {"p1": "c"}, False))
    assert versions(held) == [("p1", "a", 1, 5), ("p1", "c", 5, None)]
    assert versions(taken((1, {"p1": "a"}, False), (5, {"p1": "typo"}, False), (5, {"p1": "a"}, False))) == [
        ("p1", "a", 1, None)
    ]


def test_a_null_attribute_is_a_value_like_any_other() -> None:
    held = taken((1, {"p1": None}, False), (2, {"p1": None}, False), (3, {"p1": "a"}, False), (4, {"p1": None}, False))
    assert versions(held) == [("p1", None, 1, 3), ("p1", "a", 3, 4), ("p1", None, 4, None)]


@pytest.mark.parametrize("is_complete", [False, True])
def test_a_snapshot_of_before_a_known_change_is_refused(is_complete: bool) -> None:
    held = taken((1, {"p1": "a", "p2": "b"}, False), (5, {"p1": "c"}, False))
    with pytest.raises(DimensionInvalid, match="p1 has a change at 2024-05-01T05:00:00Z, after") as refused:
        snapshot(held, said({"p1": "d"}), moment(4), is_complete=is_complete)
    assert "valid_from and valid_to" in refused.value.remedy
    other = snapshot(held, said({"p2": "d"}), moment(4), is_complete=False)
    assert holding(other, 6) == {"p1": "c", "p2": "d"}


def test_a_history_takes_the_place_of_its_products_histories_only() -> None:
    held = taken((1, {"p1": "a", "p2": "b"}, False), (5, {"p1": "c"}, False))
    rows = [
        {"product_id": "p1", "category": c, "valid_from": moment(f), "valid_to": t and moment(t)}
        for c, f, t in (("x", 0, 2), ("y", 3, None))
    ]
    assert versions(history(held, pa.Table.from_pylist(rows, PRODUCTS.schema))) == [
        ("p1", "x", 0, 2),
        ("p1", "y", 3, None),
        ("p2", "b", 1, None),
    ]


def test_versions_that_touch_and_say_the_same_are_one() -> None:
    bounds = ((0, 2), (2, 4), (4, None), (5, None))
    rows = [
        {"product_id": "p1", "category": "a", "valid_from": moment(f), "valid_to": t and moment(t)}
        for f, t in bounds[:3]
    ]
    assert versions(history(EMPTY, pa.Table.from_pylist(rows, PRODUCTS.schema))) == [("p1", "a", 0, None)]


_SNAPSHOTS: Final = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.dictionaries(st.sampled_from(IDS), st.sampled_from(["a", "b", None]), min_size=1),
        st.booleans(),
    ),
    max_size=6,
)


@settings(max_examples=60)
@given(_SNAPSHOTS)
def test_any_sequence_of_snapshots_equals_replaying_them(steps: list[tuple[int, dict[str, Any], bool]]) -> None:
    held, hour, believed = EMPTY, 0, {}
    replay: dict[int, dict[str, Any]] = {0: {}}
    for later, products, is_complete in steps:
        hour += later
        held = snapshot(held, said(products), moment(hour), is_complete=is_complete)
        again = snapshot(held, said(products), moment(hour + 1), is_complete=is_complete)
        assert changed_keys(PRODUCTS, held, again) == 0
        # At one moment the last word counts: what an earlier snapshot of that moment said never was.
        believed = products if is_complete else {**believed, **products}
        replay[hour] = believed
    for at in range(hour + 2):
        expected = replay[max(h for h in replay if h <= at)]
        assert holding(held, at) == expected
    rows = versions(held)
    assert rows == sorted(rows, key=lambda r: (r[0], r[2]))
    for one, two in pairwise(rows):
        assert one[0] != two[0] or (one[3] is not None and one[3] <= two[2] and (one[3] < two[2] or one[1] != two[1]))
    assert history(EMPTY, held).equals(held)


def test_rows_of_a_key_take_the_place_of_those_held() -> None:
    def cost(campaign: str | None, amount: int) -> dict[str, Any]:
        return {
            "day": START.date(),
            "channel": "Email",
            "campaign": campaign,
            "currency": "USD",
            "amount_minor": amount,
        }

    held = pa.Table.from_pylist([cost("a", 1), cost(None, 2), cost("b", 3)], CAMPAIGN_COSTS.schema)
    after = replaced(CAMPAIGN_COSTS, held, pa.Table.from_pylist([cost(None, 5), cost("a", 1)], CAMPAIGN_COSTS.schema))
    assert [(r["campaign"], r["amount_minor"]) for r in after.to_pylist()] == [("a", 1), ("b", 3), (None, 5)]
    assert changed_keys(CAMPAIGN_COSTS, held, after) == 1
