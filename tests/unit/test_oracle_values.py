"""Money, quantities and times as the oracle reads them, against Python's own decimals and calendar."""

from __future__ import annotations

import datetime as dt
import json
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.money import LARGEST_MINOR, MINOR_DIGITS, minor_digits
from tests.golden.records import envelope, event, oracle_of, verdicts

_WIDE = Context(prec=200)
TEXTS = st.from_regex(r"-?[0-9]{1,18}(\.[0-9]{1,22})?", fullmatch=True) | st.from_regex(
    r"-?[0-9]{1,3}\.[0-9]{0,3}[05]0{0,3}", fullmatch=True
)


def order(total: str, currency: str, number: int, *, quoted: bool = True) -> str:
    """An order whose total is written exactly so."""
    text = json.dumps(event("Order Completed", "10:00:00", order_id=str(number), currency=currency, total="TOTAL"))
    return text.replace('"TOTAL"', json.dumps(total) if quoted else total)


def expected(total: str, currency: str, *, rounds: bool) -> int | str:
    """Minor units by Python's decimals, or the reason."""
    exact = Decimal(total).scaleb(minor_digits(currency), _WIDE)
    nearest = exact.to_integral_value(ROUND_HALF_EVEN, _WIDE)
    if abs(nearest) > LARGEST_MINOR:
        return "bad_money"
    return int(nearest) if rounds or nearest == exact else "excess_digits"


@settings(max_examples=10, deadline=None)
@given(
    totals=st.lists(st.tuples(TEXTS, st.sampled_from(["USD", "JPY", "KWD", "CLF", "ZZZ"])), min_size=30),
    rounds=st.booleans(),
)
def test_money_is_what_exact_decimals_say(totals: list[tuple[str, str]], *, rounds: bool) -> None:
    records = [order(total, currency, i) for i, (total, currency) in enumerate(totals)]
    oracle = oracle_of(records, money_excess_digits="round" if rounds else "reject")
    reasons = {r["partition"]: r["reason"] for r in oracle.table("quality").to_pylist() if r["reason"]}
    found = reasons | {int(row["order_key"]): row["value_minor"] for row in oracle.table("orders").to_pylist()}
    assert found == {i: expected(t, c, rounds=rounds) for i, (t, c) in enumerate(totals)}


def test_minor_digits_of_every_currency() -> None:
    currencies = [*MINOR_DIGITS, "USD", "EUR", "AAA"]
    oracle = oracle_of(order("1", currency, i) for i, currency in enumerate(currencies))
    found = {row["currency"]: row["value_minor"] for row in oracle.table("orders").to_pylist()}
    assert found == {currency: 10 ** minor_digits(currency) for currency in currencies}


NUMBERS = {
    "0.10": "good",
    "-0": "good",
    "null": "good",
    "10.000000000000000000000000000000000000": "good",  # 38 digits
    "10.0000000000000000000000000000000000000": "bad_money",  # 39
    **dict.fromkeys(["1E2", "1.0e0", "true", "{}", "[1]", "90000000000.01"], "bad_money"),
    "90000000000.001": "excess_digits",
}


def test_the_largest_amount_in_a_currency_without_minor_units() -> None:
    assert verdicts([order(f"{9 * 10**12}", "JPY", 0), order(f"{9 * 10**12 + 1}", "JPY", 1)]) == ["good", "bad_money"]


def test_json_numbers_as_amounts() -> None:
    found = verdicts(order(text, "USD", i, quoted=False) for i, text in enumerate(NUMBERS))
    assert dict(zip(NUMBERS, found, strict=True)) == NUMBERS


def test_strings_as_amounts() -> None:
    none = ["", " ", "-", ".5", "5.", "+5", "1,5", "1 5", "1e2", "$1", "0x1", "NaN", "\u0661", "1_000", "--1"]
    some = ["5", " 5 ", "\t5.00\n", "005", "-0.00", "0." + "0" * 60, "0" * 60 + "5"]
    found = verdicts(order(text, "USD", i) for i, text in enumerate([*none, *some]))
    assert found == ["bad_money"] * len(none) + ["good"] * len(some)


def _as(name: str, value: object) -> dict[str, Any]:
    return {name: value}


def test_every_money_field_is_checked() -> None:
    names = ("price", "total", "revenue", "value", "tax", "shipping", "discount")
    records = [event("Product Viewed", "10:00:00", **_as(name, wrong)) for name in names for wrong in ("x", 0.001)]
    records.append(event("Product Viewed", "10:00:00", products=[{"price": 1}, {"price": 0.001}, {"price": "x"}]))
    assert verdicts(records) == ["bad_money", "excess_digits"] * 7 + ["bad_money"]


LARGE = 9 * 10**10
ITSELF: dict[str, Any] = {"product_id": "p", "price": LARGE, "quantity": 2}
TWO: list[dict[str, Any]] = [{"price": LARGE}, {"price": 0.01}]
LINES: list[tuple[str, dict[str, Any], str]] = [
    ("Product Viewed", {"products": [{"price": LARGE, "quantity": 1}, {"price": -LARGE}]}, "good"),
    ("Product Viewed", {"products": [{"price": 1}, {"price": LARGE, "quantity": 2}]}, "bad_money"),
    ("Product Viewed", {"products": [{"price": 90.01, "quantity": "-100000000"}]}, "good"),
    ("Product Viewed", {"products": [{"price": 90.01, "quantity": "-1000000000"}]}, "bad_money"),
    ("Product Viewed", {"products": [{"price": 90, "quantity": -(10**9)}]}, "good"),
    ("Product Viewed", ITSELF, "good"),
    ("Order Cancelled", ITSELF, "good"),
    ("Order Completed", ITSELF, "bad_money"),
    ("order refunded", ITSELF, "bad_money"),
    ("Order Completed", {**ITSELF, "total": 1}, "bad_money"),
    ("Order Completed", {**ITSELF, "products": []}, "bad_money"),
    ("Order Completed", {**ITSELF, "products": [{"price": 1}]}, "good"),
    ("Order Completed", {**ITSELF, "quantity": None}, "good"),
    ("Order Completed", {**ITSELF, "product_id": ""}, "good"),
    ("Order Completed", {"products": TWO}, "bad_money"),
    ("Order Refunded", {"products": TWO}, "bad_money"),
    ("Order Completed", {"products": [{"price": -LARGE}, {"price": -0.01}]}, "bad_money"),
    ("Order Completed", {"products": [*TWO, {"price": -0.01}]}, "good"),
    ("Order Completed", {"products": TWO, "value": 0}, "good"),
    ("Order Completed", {"products": TWO, "tax": 0}, "bad_money"),
    ("Checkout Started", {"products": TWO}, "good"),
    ("Product Viewed", {"products": [{"price": LARGE, "quantity": 2}], "tax": 0.001}, "excess_digits"),
    ("Product Viewed", {"products": [{"price": LARGE, "quantity": 2}, {"quantity": "x"}]}, "bad_quantity"),
]


def test_lines_and_sums_that_are_too_large() -> None:
    assert verdicts(event(name, "10:00:00", **given) for name, given, _ in LINES) == [verdict for *_, verdict in LINES]


def test_value_is_total_else_revenue_else_value_else_the_lines() -> None:
    lines = [{"product_id": "p", "price": "1.50", "quantity": 3}, {"price": 2}, {"product_id": "free"}]
    amounts: dict[str, Any] = {"total": 4, "revenue": 3, "value": 2, "products": lines}
    names = list(amounts)
    given = [{n: amounts[n] for n in names[i:]} for i in range(4)] + [{"products": [{"product_id": "p"}]}, {}]
    records = (event("Order Completed", "10:00:00", **g, order_id=str(i)) for i, g in enumerate(given))
    rows = oracle_of(records).table("orders").sort_by("order_key").to_pylist()
    assert [row["value_minor"] for row in rows] == [400, 300, 200, 650, None, None]
    assert [len(row["lines"]) for row in rows] == [3, 3, 3, 3, 1, 0]


def test_the_event_is_its_own_line_only_where_it_has_no_products() -> None:
    own: dict[str, Any] = {"product_id": "p", "brand": "b", "category": "c", "price": 5}
    line = {"product_id": "p", "category": "c", "brand": "b", "price_minor": 500, "quantity": 1}
    other = {"product_id": "q", "category": None, "brand": None, "price_minor": None, "quantity": 1}
    records = [
        event("Order Completed", "10:00:00", **own),
        event("Order Completed", "10:00:01", **own, products=[]),
        event("Order Completed", "10:00:02", **own, products=[{"product_id": "q"}]),
    ]
    rows = oracle_of(records).table("orders").sort_by("event_time").to_pylist()
    assert [row["lines"] for row in rows] == [[line], [line], [other]]


GOOD_TIMES = {
    "2024-02-29T23:59:59Z": "2024-02-29T23:59:59",
    "2024-03-01T10:00:00": "2024-03-01T10:00:00",
    "2024-03-01T10:00:00.1Z": "2024-03-01T10:00:00.100000",
    "2024-03-01T10:00:00.1234569": "2024-03-01T10:00:00.123456",
    "2024-03-01T10:00:00+05:30": "2024-03-01T04:30:00",
    "2024-03-01T10:00:00.5-0800": "2024-03-01T18:00:00.500000",
    "2024-01-01T00:30:00+01:00": "2023-12-31T23:30:00",
    "1970-01-01T00:00:00Z": "1970-01-01T00:00:00",
    "1969-12-31T23:59:59-00:01": "1970-01-01T00:00:59",
    "9999-12-31T23:59:59.999999Z": "9999-12-31T23:59:59.999999",
}


def test_good_times() -> None:
    events = oracle_of([event("x", text) for text in GOOD_TIMES]).events()
    assert sorted(events["event_time"].to_pylist()) == sorted(
        dt.datetime.fromisoformat(wanted) for wanted in GOOD_TIMES.values()
    )


BAD_TIMES = [
    *("2024-02-30T10:00:00Z", "2023-02-29T10:00:00Z", "2024-13-01T10:00:00Z", "2024-03-00T10:00:00Z"),
    *("2024-03-01T24:00:00Z", "2024-03-01T23:60:00Z", "2024-03-01T23:59:60Z", "2024-03-01T10:00Z", "2024-03-01"),
    *("1970-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01", "9999-12-31T23:00:00-01:00", "10000-01-01T00:00:00Z"),
    *("2024-03-01T10:00:00.Z", "2024-03-01T10:00:00,5Z", "2024-03-01T10:00:00z", "2024-03-01T10:00:00 Z", ""),
    *("2024-03-01T10:00:00+5", "2024-03-01T10:00:00+19:00", "2024-03-01T10:00:00+05:60", " 2024-03-01T10:00:00Z"),
    *("20240301T100000Z", "2024-W09-5T10:00:00Z", "1709287200", "01/03/2024T10:00:00Z", "2024-03-01 10:00:00Z"),
]


def test_bad_times() -> None:
    assert verdicts(envelope({"timestamp": text}) for text in BAD_TIMES) == ["bad_timestamp"] * len(BAD_TIMES)
    assert verdicts(envelope(receivedAt=text) for text in BAD_TIMES) == ["not_an_envelope"] * len(BAD_TIMES)


def test_own_time_is_the_original_timestamp_else_timestamp_else_received() -> None:
    times = {"originalTimestamp": "2024-03-01T01:00:00Z", "timestamp": "2024-03-01T02:00:00Z"}
    records = [
        envelope(times),
        envelope(times | {"originalTimestamp": None}),
        envelope({"timestamp": None}),
        envelope(times | {"originalTimestamp": ""}),
    ]
    oracle = oracle_of(records)
    assert [at.hour for at in sorted(oracle.events()["event_time"].to_pylist())] == [1, 2, 12]
    assert verdicts(records)[3] == "bad_timestamp"
