"""The oracle's tables: the corners that golden cases do not reach, and agreement with the algebra on random events."""

from __future__ import annotations

import datetime as dt
from hashlib import md5
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.algebra import Algebra, connect
from contracts.fields import EVENT
from contracts.settings import Settings
from serving.oracle.compare import differences
from serving.oracle.oracle import Oracle, Records
from tests.golden.records import RULES, envelope, event, oracle_of, table_of

DAY = dt.datetime(2024, 3, 1)  # noqa: DTZ001 - tables hold naive UTC


def test_the_names_are_the_algebras() -> None:
    algebra = Algebra.of(RULES)
    assert sorted(Oracle(RULES).names) == sorted([*algebra.measures, *algebra.derived])


@pytest.mark.parametrize("name", Oracle(RULES).names)
def test_no_records_give_the_algebras_columns_and_no_rows(name: str) -> None:
    algebra, con = Algebra.of(RULES), connect()
    empty = algebra.empty(con, name)
    table = oracle_of([]).table(name)
    assert table.column_names == empty.column_names
    assert differences(name, [], empty, table) == []


def test_every_form_of_records(tmp_path: Path) -> None:
    table = table_of([envelope() for _ in range(3)])
    pq.write_table(table, tmp_path / "part.parquet")
    forms: list[Records] = [table, table.to_reader(), tmp_path / "part.parquet", [tmp_path / "part.parquet"]]
    con = connect()
    for records in forms:
        oracle = Oracle(RULES, con)
        assert oracle.load(records) == 3
        assert oracle.table("quality")["rows"].to_pylist() == [1, 1, 1]
    assert con.sql("SHOW TABLES").fetchall() == []


def test_bookkeeping_columns_are_integers_and_naive_instants() -> None:
    names = ("Order Completed", "Order Refunded", "Product Viewed", "Product Added")
    oracle = oracle_of([event(name, "10:00:00", product_id="p", price=1) for name in names])
    kinds = {f.type for name in oracle.names for f in oracle.table(name).schema}
    assert {k for k in kinds if pa.types.is_primitive(k)} == {pa.int64(), pa.timestamp("us"), pa.bool_()}


def test_a_trail_keeps_256_and_the_last_event_is_still_the_last() -> None:
    times = [(DAY + dt.timedelta(seconds=i)).isoformat() for i in range(300)]
    names = ["Product Viewed"] * 298 + ["Product Added", "Order Completed"]
    oracle = oracle_of([event(n, t, product_id="p", order_id="o") for n, t in zip(names, times, strict=True)])
    (session,) = oracle.table("sessions").to_pylist()
    assert (len(session["trail"]), session["journey_events"], session["events"]) == (256, 300, 300)
    assert session["trail"][-1]["at"] == DAY + dt.timedelta(seconds=255)
    assert (session["last_event"]["kind"], session["carts"]) == ("purchase", 1)
    assert oracle.table("session_stats")["truncated"].to_pylist() == [1]
    assert oracle.table("funnel").select(["step", "sessions", "truncated"]).to_pylist() == [
        {"step": 1, "sessions": 1, "truncated": 1},
    ]


def test_the_sketch_is_the_smallest_hashes_by_pythons_md5() -> None:
    visitors = [f"v{i}" for i in range(5000)]
    oracle = oracle_of([event("x", "10:00:30", visitor=visitor) for visitor in [*visitors, *visitors[:100]]])
    (row,) = oracle.table("traffic_minute").to_pylist()
    hashes = sorted(int.from_bytes(md5(v.encode()).digest()[:8]) - 2**63 for v in visitors)
    assert row["visitor_hashes"] == hashes[:4096]
    assert row["events"] == row["custom_events"] == 5100


def test_of_one_orders_events_at_one_instant_the_lowest_fingerprint_is_kept() -> None:
    same = {"messageId": "m"}
    values = [event("Order Completed", "10:00:00", total=n) | same | {"fingerprint": f} for n, f in enumerate("bac")]
    (order,) = oracle_of(values).table("orders").to_pylist()
    assert (order["fingerprint"], order["value_minor"], order["copies"]) == ("a", 100, 3)


def test_a_funnel_of_one_kind_twice_takes_the_same_event_twice() -> None:
    oracle = oracle_of([event("Product Viewed", "10:00:00", product_id="p")], funnel_steps="view, view")
    assert oracle.table("funnel")["step"].sort().to_pylist() == [1, 2]


def _time(step: int) -> str:
    """Ten minutes a step from 22:00 on; every other step is a microsecond late, so that gaps fall on both sides."""
    return (DAY + dt.timedelta(hours=22, minutes=10 * step, microseconds=step % 2)).isoformat()


KINDS = [
    "Product Viewed",
    "Product Added",
    "Order Completed",
    "Order Refunded",
    "Checkout Started",
    "Products Searched",
    "y",
]
OPTIONAL = st.none() | st.sampled_from(["p1", "p2"])
EVENTS = st.lists(
    st.builds(
        event,
        st.sampled_from(KINDS),
        st.integers(0, 40).map(_time),
        visitor=st.sampled_from(["ada", "bob", "\u00e9ve"]),
        product_id=OPTIONAL,
        brand=OPTIONAL,
        order_id=st.none() | st.sampled_from(["o1", "o2", "o3"]),
        query=OPTIONAL,
        total=st.none() | st.integers(-5, 5),
        price=st.none() | st.just("1.25"),
        quantity=st.none() | st.integers(0, 3),
        currency=st.sampled_from(["EUR", "JPY", None]),
        products=st.none() | st.lists(st.fixed_dictionaries({"product_id": OPTIONAL, "price": st.just(2)}), max_size=2),
    ).map(lambda e: e | {"messageId": e["messageId"][:2]}),
    min_size=1,
    max_size=60,
)


@settings(max_examples=8, deadline=None)
@given(EVENTS, st.integers(1, 3), st.sampled_from([600, 1800]))
def test_the_algebra_gives_the_same_in_whatever_parts(values: list[dict[str, Any]], parts: int, gap: int) -> None:
    rules = Settings(session_gap_seconds=gap).rules
    oracle = oracle_of(values, session_gap_seconds=gap)
    events = _as_events(oracle.events())
    algebra, con = Algebra.of(rules), connect()
    pieces = [
        algebra.partials(con, events.take(pa.array(range(i, len(events), parts), pa.int64()))) for i in range(parts)
    ]
    merged = {name: algebra.combine(con, name, [piece[name] for piece in pieces]) for name in pieces[0]}
    found = [d for n, table in merged.items() for d in differences(n, algebra.measures[n].keys, oracle.table(n), table)]
    for name, derived in algebra.derived.items():
        table = algebra.derive(con, name, merged[derived.source])
        found += differences(name, derived.keys, oracle.table(name), table)
    assert found == []


def _as_events(table: pa.Table) -> pa.Table:
    """The oracle's events in the algebra's columns; what no measure reads is left empty."""
    given = set(table.column_names)
    columns = [table[f.name].cast(_naive(f.type)) if f.name in given else pa.nulls(len(table), f.type) for f in EVENT]
    return pa.table(columns, names=EVENT.names)


def _naive(kind: pa.DataType) -> pa.DataType:
    return pa.timestamp("us") if pa.types.is_timestamp(kind) else kind
