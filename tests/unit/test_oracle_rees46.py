"""The oracle over a real shop's log gives the figures others counted (shared data: skipped where it is not)."""

from __future__ import annotations

import csv
import json
import os
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from contracts.envelope import Entered, Stamp, enter
from contracts.privacy import InstallationKeys
from contracts.settings import Settings
from serving.oracle.oracle import Oracle

FOLDER = Path(os.environ.get("TIDEMARK_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data")) / "rees46"
pytestmark = pytest.mark.skipif(not (FOLDER / "events.csv").exists(), reason="the REES46 slice is not on this machine")
KEYS = InstallationKeys(b"secret", b"an attribute key")
NAMES = {"view": "Product Viewed", "cart": "Product Added", "purchase": "Order Completed"}


def message_of(row: dict[str, str], visitor: str) -> bytes:
    """One row as a Segment message; its price keeps the digits of the file."""
    item = {"product_id": row["product_id"], "category": row["category_code"], "brand": row["brand"], "price": "PRICE"}
    message = {
        "type": "track",
        "event": NAMES[row["event_type"]],
        "anonymousId": row[visitor],
        "timestamp": row["event_time"].removesuffix(" UTC").replace(" ", "T") + "Z",
        "properties": {"products": [item]} if row["event_type"] == "purchase" else item,
        "context": {"session": row["user_session"], "user": row["user_id"]},
    }
    return json.dumps(message).replace('"PRICE"', row["price"]).encode()


@cache
def answered(visitor: str) -> Oracle:
    """The oracle over the whole file, with this column as the visitor."""
    with (FOLDER / "events.csv").open(newline="") as file:
        messages = [message_of(row, visitor) for row in csv.DictReader(file)]
    entered = (enter(message, None, Stamp("2019-10-01T03:00:00Z"), KEYS) for message in messages)
    records = [(0, 0, i, e.headers[0][1], e.value) for i, e in enumerate(entered) if isinstance(e, Entered)]
    oracle = Oracle(Settings().rules)
    oracle.load(pa.table(list(zip(*records, strict=True)), ["log", "partition", "offset", "dedupe_key", "value"]))
    return oracle


@pytest.fixture(scope="module")
def expected() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((FOLDER / "expected.json").read_text())
    return loaded


def total(table: str, column: str, visitor: str = "user_id") -> int:
    return sum(answered(visitor).table(table)[column].to_pylist())


def test_events_after_copies(expected: dict[str, Any]) -> None:
    rows = {row["status"]: row["rows"] for row in answered("user_id").table("quality").to_pylist()}
    copies = expected["exact_duplicate_rows"]
    assert rows == {"good": expected["rows"] - copies, "duplicate": copies}
    assert (total("traffic_minute", "events"), total("traffic_minute", "purchase_events")) == (17_429, 214)


def test_visitors_and_sessions(expected: dict[str, Any]) -> None:
    assert answered("user_id").table("visitors_day")["visitors"].to_pylist() == [expected["users"]]
    assert answered("user_id").table("visitors_day")["buyers"].to_pylist() == [expected["purchase_users"]]
    assert total("session_stats", "sessions") == expected["sessions_30min_by_user"]
    assert total("session_stats", "sessions", "user_session") == expected["sessions_30min_by_user_session"]


def test_revenue(expected: dict[str, Any]) -> None:
    minor = round(expected["revenue_purchase"] * 100)
    assert total("order_stats", "gross_minor") == total("product_sales", "revenue_minor") == minor == 5_944_263


def test_top_products_and_brands(expected: dict[str, Any]) -> None:
    views, revenue = Counter[str](), Counter[str | None]()
    for row in answered("user_id").table("product_activity").to_pylist():
        views[row["product_id"]] += row["views"]
    for row in answered("user_id").table("brand_sales").to_pylist():
        revenue[row["brand"]] += row["revenue_minor"]
    assert [[int(p), n] for p, n in views.most_common(5)] == expected["top_products_by_view"]
    assert [[b, n / 100] for b, n in revenue.most_common(5)] == expected["top_brands_by_revenue"]


def test_funnel_and_abandonment_by_user_session(expected: dict[str, Any]) -> None:
    steps = {r["step_kind"]: r["sessions"] for r in answered("user_session").table("funnel").to_pylist()}
    assert steps["cart"] == expected["ordered_view_cart"]
    assert steps["purchase"] == expected["ordered_view_cart_purchase"]
    names = ("cart_sessions", "purchase_sessions", "abandoned_sessions")
    assert [total("session_stats", name, "user_session") for name in names] == [118, 200, 53]


def test_ordered_funnel_by_user_id() -> None:
    steps = {r["step_kind"]: r["sessions"] for r in answered("user_id").table("funnel").to_pylist()}
    assert (steps["cart"], steps["purchase"]) == (111, 62)


def test_events_per_ten_minutes(expected: dict[str, Any]) -> None:
    found = Counter[str]()
    for row in answered("user_id").table("traffic_minute").to_pylist():
        found[f"{row['minute']:%H:%M}"[:4]] += row["events"]
    without_copies = {"02:2": 4167, "02:3": 5630, "02:4": 5861}
    assert found == dict(expected["events_per_10min"]) | without_copies
