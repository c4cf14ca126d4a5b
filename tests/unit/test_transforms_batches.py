"""Whole batches: every record is exactly one of good, rejected, no_consent, and is counted as that."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.algebra import QUALITY_SCHEMA
from contracts.fields import EVENT
from contracts.settings import Settings
from spark_jobs.transforms.batches import RECORD, REJECTED, SILVER, Outcome, outcome, silver_rows
from tests.unit.json_texts import messages, record

RULES = Settings().rules
GOOD = {"event": "Product Viewed", "anonymousId": "ada", "timestamp": "2024-03-01T10:00:00Z"}
WITHHELD = GOOD | {"context": {"consent": {"analyse": False}}}
ORDER = GOOD | {"event": "Order Completed", "properties": {"order_id": "o", "products": [{"price": "1.5"}]}}
REFUSED = GOOD | {"anonymousId": "null"}


def table(records: list[tuple[bytes | None, bytes | None]]) -> pa.Table:
    """Records at offsets 0, 1, ... of partition 3 of log 1."""
    count = len(records)
    columns = [[1] * count, [3] * count, range(count), [0] * count, [k for k, _ in records], [v for _, v in records]]
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, RECORD, strict=True)], schema=RECORD)


def counted(found: Outcome) -> dict[tuple[str, str], int]:
    return {(row["status"], row["reason"]): row["rows"] for row in found.quality.to_pylist()}


def test_each_record_goes_one_way() -> None:
    records = [record(message) for message in (GOOD, WITHHELD, REFUSED, ORDER)]
    found = outcome(table([*records, (None, None), (b"other key", records[0][1])]), RULES)
    assert found.events.schema == EVENT
    assert found.rejected.schema == REJECTED
    assert found.quality.schema == QUALITY_SCHEMA
    assert found.events["offset"].to_pylist() == [0, 3]
    assert found.withheld.to_pylist() == [{"log": 1, "partition": 3, "offset": 1, "broker_time": _epoch()}]
    told = [(row["offset"], row["reason"], row["value"]) for row in found.rejected.to_pylist()]
    assert told == [
        (2, "illegal_id", records[2][1]),
        (4, "not_json", None),
        (5, "not_an_envelope", records[0][1]),
    ]
    assert counted(found) == {
        ("good", ""): 2,
        ("no_consent", ""): 1,
        ("rejected", "illegal_id"): 1,
        ("rejected", "not_json"): 1,
        ("rejected", "not_an_envelope"): 1,
    }


def _epoch() -> Any:
    return pa.array([0], RECORD.field("broker_time").type)[0].as_py()


def test_no_records_are_no_rows() -> None:
    found = outcome(RECORD.empty_table(), RULES)
    assert [t.num_rows for t in (found.events, found.rejected, found.withheld, found.quality)] == [0] * 4
    assert found.events.schema == EVENT
    assert silver_rows(RECORD.empty_table(), RULES).schema == SILVER


def test_a_batch_without_one_good_event() -> None:
    found = outcome(table([record(REFUSED), (None, None)]), RULES)
    assert found.events.num_rows == 0
    assert found.events.schema == EVENT


def test_silver_keeps_the_value_of_what_was_refused_and_only_the_name_of_what_was_withheld() -> None:
    rows = silver_rows(table([record(GOOD), record(WITHHELD), record(REFUSED)]), RULES)
    assert rows.schema == SILVER
    good, refused, withheld = sorted(rows.to_pylist(), key=lambda row: row["status"].replace("no_", "withheld"))
    assert (good["status"], good["value"], good["reason"], good["visitor"]) == ("good", None, None, "ada")
    assert (refused["status"], refused["reason"], refused["value"]) == ("rejected", "illegal_id", record(REFUSED)[1])
    named = {"log", "partition", "offset", "broker_time", "status"}
    assert {name for name, value in withheld.items() if value is not None} == named


def test_lines_are_typed() -> None:
    [row] = outcome(table([record(ORDER)]), RULES).events.to_pylist()
    line = {"product_id": None, "category": None, "brand": None, "price_minor": 150, "quantity": 1}
    assert (row["value_minor"], row["lines"]) == (150, [line])


@settings(max_examples=100)
@given(st.lists(messages(), max_size=5))
def test_no_batch_raises_and_every_record_is_counted_once(said: list[bytes]) -> None:
    records = table([record(message, messageId=str(n)) for n, message in enumerate(said)])
    found = outcome(records, RULES)
    assert found.events.num_rows + found.rejected.num_rows + found.withheld.num_rows == len(said)
    assert sum(counted(found).values()) == len(said)
    rows = silver_rows(records, RULES)
    assert sorted(rows["offset"].to_pylist()) == list(range(len(said)))
