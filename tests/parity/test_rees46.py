"""A real shop's log, exact: the same figures from speed alone, from batch alone, and merged at any cut (no Spark).

`expected.json` beside the log was counted from the CSV by others; the other figures are those of the issue.
"""

from __future__ import annotations

import json
import random
import zlib
from collections import Counter
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pytest

from contracts.envelope import KEY_HEADER, Entered, Stamp, enter
from contracts.privacy import InstallationKeys
from contracts.settings import Settings
from serving.oracle.oracle import Oracle
from spark_jobs.transforms.batches import RECORD
from speed_layer.replay import SourceMessage, open_source
from tests.laws.reference import Answer, Part, Reference, differing
from tests.worlds import LOG, at_cut, ends_of, unique

KEYS = InstallationKeys(b"a secret for tests", b"an attribute key")
FOLDER: Final = Path(__file__).parents[3] / "shared" / "data" / "rees46"
PARTITIONS: Final = 4
REFERENCE: Final = Reference(Settings().rules)
pytestmark = pytest.mark.skipif(
    not (FOLDER / "events.csv").exists(),
    reason="the REES46 slice is not at ../shared/data/rees46/events.csv",
)
WAYS: Final = ("batch", "speed", "cut 1", "cut 2", "cut 3")


@cache
def log(visitor: str) -> pa.Table:
    """What Kafka holds after a replay of the file."""
    rows: list[dict[str, Any]] = []
    ends = Counter[int]()
    received = datetime(2024, 1, 1, tzinfo=UTC)
    for item in open_source(f"rees46:{FOLDER / 'events.csv'}?visitor={visitor}").messages():
        assert isinstance(item, SourceMessage)
        entered = enter(item.raw, None, Stamp(received.isoformat()), KEYS)
        assert isinstance(entered, Entered)
        partition = zlib.crc32(entered.key) % PARTITIONS
        place = {"log": LOG, "partition": partition, "offset": ends[partition]}
        at = received + timedelta(milliseconds=len(rows))
        key = dict(entered.headers)[KEY_HEADER]
        rows.append({**place, "broker_time": at, "dedupe_key": key, "value": entered.value})
        ends[partition] += 1
    return pa.Table.from_pylist(rows, RECORD)


@cache
def batch(visitor: str) -> Answer:
    return REFERENCE.batch(log(visitor))


@cache
def answer(way: str, visitor: str) -> Answer:
    """From batch alone, from speed alone, or merged at a random cut."""
    if way == "batch":
        return batch(visitor)
    table, chance = log(visitor), random.Random(way)
    cut = {p: 0 if way == "speed" else chance.randrange(end) for p, end in ends_of(table).items()}
    kept, copies = (at_cut(part, cut)[1] for part in unique(table))
    return REFERENCE.merged(REFERENCE.batch(at_cut(table, cut)[0]), speed(kept, copies, chance))


def speed(kept: pa.Table, copies: pa.Table, chance: random.Random) -> Part:
    """Micro-batches of 3,000 records, in any order."""
    starts = list(range(0, max(kept.num_rows, 1), 3000))
    chance.shuffle(starts)
    parts = [REFERENCE.part(kept.slice(start, 3000), copies if start == 0 else None) for start in starts]
    return REFERENCE.combine(parts)


@pytest.fixture(scope="module")
def expected() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((FOLDER / "expected.json").read_text())
    return loaded


def total(table: pa.Table, column: str) -> int:
    return sum(table[column].to_pylist())


def totals(table: pa.Table, key: str, column: str) -> list[tuple[Any, int]]:
    """Sums by key, the largest first."""
    sums = Counter[Any]()
    for name, value in zip(table[key].to_pylist(), table[column].to_pylist(), strict=True):
        sums[name] += value
    return sums.most_common()


@pytest.mark.parametrize("visitor", ["user_id", "user_session"])
@pytest.mark.parametrize("way", WAYS[1:])
def test_every_way_gives_every_table_bit_for_bit(way: str, visitor: str) -> None:
    assert differing(batch(visitor), answer(way, visitor)) == {}


@pytest.mark.parametrize("visitor", ["user_id", "user_session"])
def test_oracle_gives_every_table(visitor: str) -> None:
    oracle = Oracle(REFERENCE.rules)
    oracle.load(log(visitor))
    tables = {name: oracle.table(name) for name in oracle.names}
    assert differing(tables, {name: batch(visitor)[name].cast(t.schema) for name, t in tables.items()}) == {}


@pytest.mark.parametrize("way", WAYS)
def test_figures_of_the_log(way: str, expected: dict[str, Any]) -> None:
    tables = answer(way, "user_id")
    traffic, day = tables["traffic_minute"], tables["visitors_day"]
    assert total(traffic, "events") == 17_429
    assert {k: total(traffic, f"{k}_events") for k in ("view", "cart", "purchase")} == {
        "view": 17_051,
        "cart": 164,
        "purchase": 214,
    }
    assert day["visitors"].to_pylist() == [4_504]
    assert day["buyers"].to_pylist() == [193]
    assert total(tables["session_stats"], "sessions") == 4_518
    assert total(tables["order_stats"], "gross_minor") == total(tables["product_sales"], "revenue_minor") == 5_944_263
    assert total(tables["order_stats"], "orders") == 214
    status = dict(totals(tables["quality"], "status", "rows"))
    assert status == {"good": 17_429, "duplicate": expected["exact_duplicate_rows"]}


@pytest.mark.parametrize("way", WAYS)
def test_top_products_and_brands(way: str, expected: dict[str, Any]) -> None:
    tables = answer(way, "user_id")
    products = [[int(product), views] for product, views in totals(tables["product_activity"], "product_id", "views")]
    assert products[:5] == expected["top_products_by_view"]
    brands = [[brand, minor / 100] for brand, minor in totals(tables["brand_sales"], "brand", "revenue_minor")]
    assert brands[:5] == expected["top_brands_by_revenue"]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("visitor", "carts", "purchases"), [("user_id", 111, 62), ("user_session", 118, 65)])
def test_ordered_funnel(way: str, visitor: str, carts: int, purchases: int) -> None:
    steps = dict(totals(answer(way, visitor)["funnel"], "step_kind", "sessions"))
    assert (steps["cart"], steps["purchase"]) == (carts, purchases)


@pytest.mark.parametrize("way", WAYS)
def test_sessions_of_user_session(way: str) -> None:
    stats = answer(way, "user_session")["session_stats"]
    names = ("sessions", "purchase_sessions", "abandoned_sessions")
    assert [total(stats, name) for name in names] == [5_067, 200, 53]
