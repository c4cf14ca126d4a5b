"""The reports of two nights in which everything happens once: counted by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

import serving
from contracts.envelope import KEY_HEADER, Entered, Stamp, enter
from contracts.fields import BRONZE
from contracts.reports import DATA_QUALITY, RESTATEMENTS
from contracts.settings import Settings
from spark_jobs import delta_io
from spark_jobs.jobs.publish import publish
from speed_layer.store.runs import Runs
from tests.parity.installation import NOW, Installation

pytestmark = [pytest.mark.spark, pytest.mark.timeout(600)]

MORNING = datetime(2024, 3, 1, 9, 0, tzinfo=UTC)
SECRET = b"a secret for tests"
ROBOT = "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)"


def iso(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def sent(number: int, event: str = "Product Viewed", late: timedelta = timedelta(0), **said: Any) -> dict[str, Any]:
    """A message that happened `late` before it was sent, at 9 o'clock; `said` goes over it."""
    properties = {"product_id": "p1", "currency": "USD"} if event.startswith("Product") else {}
    message = {"type": "track", "event": event, "messageId": f"m{number}", "anonymousId": "ann", "userId": "u1"}
    message |= {"timestamp": iso(MORNING - late), "properties": properties}
    return {"sentAt": iso(MORNING), "sender": "shop", "agent": None} | message | said


def log_of(messages: list[dict[str, Any]]) -> pa.Table:
    import json  # noqa: PLC0415 - where texts are made

    rows = []
    for offset, message in enumerate(messages):
        given = dict(message)
        sender, agent = given.pop("sender"), given.pop("agent")
        stamp = Stamp(iso(MORNING + timedelta(seconds=1)), user_agent=agent, source=sender)
        entered = enter(json.dumps(given).encode(), None, stamp, SECRET)
        broken = not isinstance(entered, Entered)
        value = b"no envelope" if broken else entered.value  # type: ignore[union-attr]
        headers = [] if broken else entered.headers  # type: ignore[union-attr]
        rows.append(
            {
                "log": 1,
                "partition": 0,
                "offset": offset,
                "broker_time": MORNING + timedelta(seconds=1),
                "key": b"ann",
                "dedupe_key": dict(headers).get(KEY_HEADER),
                "value": value,
                "headers": [{"key": k, "value": v} for k, v in headers],
                "broker_date": MORNING.date(),
            }
        )
    return pa.Table.from_pylist(rows, BRONZE)


FIRST = [
    sent(0),
    sent(0),
    sent(1, late=timedelta(minutes=5)),
    sent(2, late=timedelta(hours=2), properties={"price": 3, "currency": "USD"}, userId=None),
    sent(3, late=timedelta(days=2)),
    sent(4, "Newsletter Signed", sender="mail"),
    sent(5, agent=ROBOT),
    sent(6, "Order Completed", properties={"order_id": "o1", "total": 10, "currency": "USD", "products": [{}]}),
    sent(6, "Order Completed", properties={"order_id": "o2", "currency": "USD"}),
    sent(7, timestamp=iso(MORNING + timedelta(days=3))),
    sent(8, anonymousId=None, userId=None),
    sent(9, context={"consent": {"analyse": False}}),
]
# Two days later: an order and a view of the first day arrive, and an event of today.
SECOND = [
    sent(20, "Order Completed", timedelta(hours=1), properties={"order_id": "o3", "total": "2.5", "currency": "EUR"}),
    sent(21, late=timedelta(hours=1), anonymousId="bob"),
    sent(22, timestamp=iso(NOW + timedelta(hours=1))),
]


@pytest.fixture(scope="module")
def site(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    settings = Settings(home=Path(tmp_path_factory.mktemp("reports")))
    made = Installation(spark, settings, log_of([*FIRST, *SECOND]))
    for number, end in enumerate((len(FIRST), len(FIRST) + len(SECOND))):
        made.arrive({0: end})
        made.run_live({0: end})
        run_id = f"r{number + 1}"
        made.nightly(run_id)
        Runs(settings).write_verified(run_id, [])
        publish(settings, made.store, run_id, NOW + timedelta(days=number))
    return made


def rows_of(site: Installation, run_id: str, table: str) -> list[dict[str, Any]]:
    version = Runs(site.settings).tables(run_id)[table]["version"]
    found = delta_io.open_table(site.settings.table_path(table), version).to_pyarrow_table()
    return pa.table(found).to_pylist()


def test_quality_counts_what_arrived(site: Installation) -> None:
    rows = {row["sender"]: row for row in rows_of(site, "r1", DATA_QUALITY.table)}
    assert set(rows) == {"shop", "mail", None}
    shop = {name: n for name, n in rows["shop"].items() if n and name not in ("hour", "sender")}
    assert shop == {
        "records": 9,
        "good": 8,
        "duplicates": 1,
        "synthetic": 1,
        "declared_bots": 1,
        "broken_contracts": 1,
        "clock_faults": 1,
        "on_time": 5,
        "late_minutes": 1,
        "late_hours": 1,
        "late_days": 1,
        "without_user": 1,
        "without_device": 7,
        "without_country": 8,
        "without_product": 1,
        "without_value": 1,
    }
    assert (rows["mail"]["custom_events"], rows["mail"]["good"]) == (1, 1)
    assert (rows[None]["rejected"], rows[None]["no_consent"], rows[None]["records"]) == (1, 1, 2)
    assert {row["hour"] for row in rows.values()} == {MORNING}


def test_the_second_run_restates_the_days_that_late_events_changed(site: Installation) -> None:
    assert rows_of(site, "r1", RESTATEMENTS.table) == []
    rows = rows_of(site, "r2", RESTATEMENTS.table)
    assert {(r["run_id"], r["previous_run_id"]) for r in rows} == {("r2", "r1")}
    assert {r["day"] for r in rows} == {MORNING.replace(hour=0)}
    changed = {(r["measure"], r["currency"]): (r["before"], r["after"], r["change"]) for r in rows}
    assert changed == {
        ("events", None): (7, 9, 2),
        ("sessions", None): (2, 4, 2),
        ("visitors", None): (1, 2, 1),
        ("orders", "EUR"): (0, 1, 1),
        ("gross_minor", "EUR"): (0, 250, 250),
    }


def test_reports_are_views_as_of_the_cut(site: Installation) -> None:
    with serving.connect(site.settings) as tm:
        assert tm.as_of.run_id == "r2"
        assert tm.sql("SELECT * FROM restatements").num_rows == 5
        (total,) = tm.sql("SELECT sum(records)::BIGINT AS n FROM data_quality").to_pylist()
        assert total["n"] == len(FIRST) + len(SECOND)
