"""Two tables against each other."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pyarrow as pa
import pytest

from serving.oracle.compare import differences

NOON = dt.datetime(2024, 3, 1, 12)  # noqa: DTZ001 - as tables hold it
TRAIL = [{"at": NOON, "ref": None}, {"at": NOON, "ref": "b"}]
ROWS: list[dict[str, Any]] = [
    {"key": "a", "day": NOON, "count": 1, "trail": TRAIL},
    {"key": None, "day": NOON, "count": 2, "trail": []},
    {"key": "b", "day": None, "count": None, "trail": TRAIL[:1]},
]
SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("day", pa.timestamp("us")),
        ("count", pa.int64()),
        ("trail", pa.list_(pa.struct([("at", pa.timestamp("us")), ("ref", pa.string())]))),
    ],
)


def table(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows, SCHEMA)


def changed(number: int, **values: Any) -> pa.Table:
    return table([row | values if i == number else row for i, row in enumerate(ROWS)])


def summary(found: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    json.dumps(found)
    return [(d["difference"], d["key"], sorted(d["values"]), d["total"]) for d in found]


@pytest.mark.parametrize("keys", [["key", "day"], ["day"], [], ["key", "day", "count", "trail"]])
def test_the_same_rows_in_any_order_are_no_difference(keys: list[str]) -> None:
    assert differences("t", keys, table(ROWS), table(ROWS[::-1])) == []


def test_a_changed_value_is_named() -> None:
    (found,) = differences("t", ["key", "day"], table(ROWS), changed(1, count=3))
    assert found == {
        "table": "t",
        "difference": "changed",
        "key": {"key": None, "day": "2024-03-01T12:00:00"},
        "values": {"count": {"expected": 2, "actual": 3}},
        "total": 1,
    }


@pytest.mark.parametrize("trail", [TRAIL[::-1], TRAIL[:1], [], None, [TRAIL[0], {"at": NOON, "ref": "c"}]])
def test_nested_values_count_in_their_order(trail: Any) -> None:
    found = differences("t", ["key", "day"], table(ROWS), changed(0, trail=trail))
    assert summary(found) == [("changed", {"key": "a", "day": "2024-03-01T12:00:00"}, ["trail"], 1)]


def test_missing_and_extra_rows() -> None:
    found = differences("t", ["key"], table(ROWS[:2]), table(ROWS[1:]))
    assert [(d["difference"], d["key"]["key"]) for d in found] == [("missing", "a"), ("extra", "b")]
    assert found[0]["values"]["count"] == {"expected": 1, "actual": None}


def test_how_often_a_row_stands_counts() -> None:
    found = differences("t", ["key"], table([*ROWS, ROWS[0]]), table(ROWS))
    assert [(d["difference"], d["key"]["key"]) for d in found] == [("missing", "a")]
    assert differences("t", ["key"], table(ROWS * 2), table([*ROWS[::-1], *ROWS])) == []


def test_all_that_differs_is_counted_and_the_first_are_listed() -> None:
    many = pa.table({"n": range(100), "v": range(100)})
    found = differences("t", ["n"], many, many.set_column(1, "v", pa.array(range(1, 101))), limit=3)
    assert [(d["key"]["n"], d["total"]) for d in found] == [(0, 100), (1, 100), (2, 100)]


def test_widths_and_zones_do_not_count_but_types_do() -> None:
    narrow = SCHEMA.set(2, pa.field("count", pa.int32())).set(1, pa.field("day", pa.timestamp("us", "UTC")))
    assert differences("t", ["key", "day"], table(ROWS), table(ROWS).cast(narrow)) == []
    (found,) = differences("t", ["key"], table(ROWS), table(ROWS).cast(SCHEMA.set(2, pa.field("count", pa.string()))))
    assert found["values"] == {"count": {"expected": "integer", "actual": "text"}}


def test_other_columns_are_a_difference_and_their_order_is_none() -> None:
    assert differences("t", ["key"], table(ROWS), table(ROWS).select(SCHEMA.names[::-1])) == []
    (found,) = differences("t", ["key"], table(ROWS), table(ROWS).drop_columns(["count"]))
    assert found["difference"] == "columns"
