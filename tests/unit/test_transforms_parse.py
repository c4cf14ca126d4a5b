"""One record becomes one event, or the first reason why not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.consent import Consent
from contracts.envelope import Entered, Stamp, enter, record_key
from contracts.fields import EVENT
from contracts.kinds import CALL_TYPES
from contracts.money import LARGEST_MINOR
from contracts.reasons import EXPLANATIONS, Reason
from contracts.settings import Settings
from spark_jobs.transforms.clocks import Clocks
from spark_jobs.transforms.enrich.record import NOT_ENRICHED
from spark_jobs.transforms.parse import Event, parse
from tests.unit.json_texts import messages, record

RULES = Settings().rules
SAID = {"event": "Product Viewed", "anonymousId": "ada", "timestamp": "2024-03-01T10:00:00Z"}
STAMP = Stamp("2024-03-01T12:00:00.000Z")
AT = 1_709_287_200_000_000
ENTRANCE_ONLY = {Reason.TOO_LARGE, Reason.DUPLICATE_KEY}


def parsed(message: Any, rules: dict[str, str] | None = None, **stamps: Any) -> Event | Reason:
    return parse(*record(message, **stamps), RULES | (rules or {}))


def event(rules: dict[str, str] | None = None, **said: Any) -> Event:
    found = parsed(SAID | said, rules)
    assert isinstance(found, Event), found
    return found


def order(rules: dict[str, str] | None = None, **properties: Any) -> Event:
    return event(rules, event="Order Completed", properties=properties)


# Each fault is laid over a good record; they stand in the order in which they are found.
FAULTS: list[tuple[Reason, dict[str, Any], dict[str, Any]]] = [
    (Reason.NOT_AN_ENVELOPE, {"receivedAt": "soon"}, {}),
    (Reason.UNKNOWN_TYPE, {"type": "click"}, {}),
    (Reason.WRONG_TYPE, {}, {"context": []}),
    (Reason.MISSING_ID, {}, {"anonymousId": "", "userId": None}),
    (Reason.MISSING_EVENT_NAME, {}, {"event": " "}),
    (Reason.BAD_TIMESTAMP, {}, {"timestamp": "2024-03-01"}),
    (Reason.BAD_CURRENCY, {}, {"properties": {"currency": "EURO"}}),
    (Reason.BAD_MONEY, {}, {"properties": {"price": "free"}}),
    (Reason.EXCESS_DIGITS, {}, {"properties": {"total": "1.005"}}),
    (Reason.BAD_QUANTITY, {}, {"properties": {"quantity": 0.5}}),
]


def laid_over(faults: list[tuple[Reason, dict[str, Any], dict[str, Any]]]) -> Event | Reason:
    stamps: dict[str, Any] = {}
    said: dict[str, Any] = {**SAID, "properties": {}}
    for _, stamped, message in faults:
        stamps |= stamped
        said |= message | {"properties": said["properties"] | message.get("properties", {})}
    return parsed(said, **stamps)


@pytest.mark.parametrize("first", range(len(FAULTS)))
def test_the_first_reason_wins_over_all_that_follow(first: int) -> None:
    assert laid_over(FAULTS[first:]) is FAULTS[first][0]
    assert laid_over(FAULTS[first : first + 1]) is FAULTS[first][0]


REASONS: list[tuple[Reason, tuple[bytes | None, bytes | None]]] = [
    (Reason.NOT_JSON, (None, None)),
    (Reason.NOT_JSON, (b"k", b"")),
    (Reason.NOT_JSON, (b"k", b"[]")),
    (Reason.NOT_JSON, (b"k", b"7")),
    (Reason.NOT_JSON, (b"k", b'{"a":NaN}')),
    (Reason.NOT_JSON, (b"k", b'{"a":1} more')),
    (Reason.NOT_JSON, (b"k", b'\xef\xbb\xbf{"a":1}')),
    (Reason.INVALID_UTF8, (b"k", b'{"a":"\xff"}')),
    (Reason.INVALID_UTF8, (b"k", b"\xff" + b"[" * 100)),
    (Reason.TOO_DEEP, (b"k", b"[" * 10_000)),
    (Reason.TOO_DEEP, record({"context": json.loads('{"a":' * 64 + "1" + "}" * 64)})),
    (Reason.NOT_AN_ENVELOPE, (b"k", b"{}")),
    (Reason.NOT_AN_ENVELOPE, (None, record(SAID)[1])),
    (Reason.NOT_AN_ENVELOPE, (b"", record(SAID)[1])),
    (Reason.NOT_AN_ENVELOPE, (record_key("m2", "f1"), record(SAID)[1])),
    (Reason.NOT_AN_ENVELOPE, record(SAID, messageId="")),
    (Reason.NOT_AN_ENVELOPE, record(SAID, messageId=7)),
    (Reason.NOT_AN_ENVELOPE, record(SAID, fingerprint=None)),
    (Reason.NOT_AN_ENVELOPE, record(SAID, fingerprint=...)),
    (Reason.NOT_AN_ENVELOPE, record(SAID, receivedAt=7)),
    (Reason.NOT_AN_ENVELOPE, record(SAID, receivedAt=...)),
    (Reason.NOT_AN_ENVELOPE, record(SAID, type=...)),
    (Reason.NOT_AN_ENVELOPE, record("text")),
    (Reason.NOT_AN_ENVELOPE, record(None)),
    (Reason.UNKNOWN_TYPE, record(SAID, type="Track")),
    (Reason.UNKNOWN_TYPE, record(SAID, type="")),
    (Reason.UNKNOWN_TYPE, record(SAID, type={})),
    (Reason.WRONG_TYPE, record(SAID | {"properties": []})),
    (Reason.WRONG_TYPE, record(SAID | {"traits": "x"})),
    (Reason.WRONG_TYPE, record(SAID | {"properties": {"products": {}}})),
    (Reason.WRONG_TYPE, record(SAID | {"properties": {"products": [{}, None]}})),
    (Reason.WRONG_TYPE, record(SAID | {"anonymousId": True})),
    (Reason.WRONG_TYPE, record(SAID | {"anonymousId": 1.5})),
    (Reason.WRONG_TYPE, record(SAID | {"userId": {}})),
    (Reason.MISSING_ID, record({"event": "x"})),
    (Reason.ILLEGAL_ID, record(SAID | {"anonymousId": " NULL "})),
    (Reason.ILLEGAL_ID, record(SAID | {"anonymousId": "  "})),
    (Reason.ILLEGAL_ID, record(SAID | {"anonymousId": "v" * 256})),
    (Reason.ILLEGAL_ID, record(SAID | {"anonymousId": None, "userId": "[object Object]"})),
    (Reason.MISSING_EVENT_NAME, record(SAID | {"event": None})),
    (Reason.MISSING_EVENT_NAME, record(SAID | {"event": 7})),
    (Reason.BAD_TIMESTAMP, record(SAID | {"timestamp": 1709287200})),
    (Reason.BAD_TIMESTAMP, record(SAID | {"timestamp": ""})),
    (Reason.BAD_TIMESTAMP, record(SAID | {"timestamp": "1969-12-31T23:59:59Z"})),
    (Reason.BAD_TIMESTAMP, record(SAID | {"originalTimestamp": "no"})),
    (Reason.BAD_CURRENCY, record(SAID | {"properties": {"currency": ""}})),
    (Reason.BAD_CURRENCY, record(SAID | {"properties": {"currency": 840}})),
    (Reason.BAD_CURRENCY, record(SAID | {"properties": {"currency": "E\u00dcR"}})),
    (Reason.BAD_MONEY, record(SAID | {"properties": {"tax": True}})),
    (Reason.BAD_MONEY, record(SAID | {"properties": {"products": [{"price": 1}, {"price": []}]}})),
    (Reason.BAD_MONEY, record(SAID | {"properties": {"products": [{"price": 91, "quantity": 10**9}]}})),
    (Reason.EXCESS_DIGITS, record(SAID | {"properties": {"products": [{"price": 1.005, "quantity": 0.5}]}})),
    (Reason.EXCESS_DIGITS, record(SAID | {"properties": {"currency": "JPY", "price": 1.5}})),
    (Reason.BAD_QUANTITY, record(SAID | {"properties": {"products": [{"quantity": "1.0"}]}})),
]


@pytest.mark.parametrize(("reason", "key_and_value"), REASONS)
def test_each_reason(reason: Reason, key_and_value: tuple[bytes | None, bytes | None]) -> None:
    assert parse(*key_and_value, RULES) is reason


def test_every_reason_is_found_somewhere_and_explained() -> None:
    assert {reason for reason, _ in REASONS} | ENTRANCE_ONLY == set(Reason) == set(EXPLANATIONS)


def test_a_bare_event() -> None:
    found = event()
    assert found._asdict() == dict.fromkeys(Event._fields) | {
        "event_id": "m1",
        "fingerprint": "f1",
        "visitor": "ada",
        "type": "track",
        "name": "Product Viewed",
        "kind": "view",
        "event_time": AT,
        "received_at": AT + 7_200_000_000,
        "currency": "USD",
        "anonymous_id": "ada",
        "clocks": Clocks(None, AT, 7_200_000, None),
        "consent": Consent(analyse=True, personalise=True, train=True),
        "enriched": NOT_ENRICHED,
    }
    assert len(found.row) == len(EVENT) - 4


def test_the_visitor_is_the_anonymous_id_else_the_user_id() -> None:
    assert event(userId="u").visitor == "ada"
    assert event(anonymousId="", userId="u").visitor == "u"
    assert event(anonymousId=None, userId=7).visitor == "7"
    assert event(anonymousId=" ada ").visitor == " ada "
    assert event(anonymousId="v" * 255).visitor == "v" * 255


def test_the_time_is_the_sender_s_own() -> None:
    assert event(timestamp="2024-03-01T11:00:00+01:00").event_time == AT
    assert event(originalTimestamp="2024-03-01T10:00:01Z").event_time == AT + 1_000_000
    assert event(timestamp=None).event_time == AT + 7_200_000_000
    assert event(originalTimestamp=None).event_time == AT


@pytest.mark.parametrize("call_type", [name for name in CALL_TYPES if name != "track"])
def test_other_calls_need_no_event_name(call_type: str) -> None:
    found = parsed({"userId": "u", "name": "Home", "properties": {"path": "/"}}, type=call_type)
    assert isinstance(found, Event)
    assert (found.kind, found.name) == (call_type, "Home")
    assert found.ref == {"page": "/", "screen": "Home"}.get(call_type)


@pytest.mark.parametrize(
    ("name", "kind", "ref"),
    [
        ("Product Viewed", "view", "p1"),
        (" pRODUCT aDDED ", "cart", "p1"),
        ("Products Searched", "search", "shoes"),
        ("Checkout Started", "checkout", "o1"),
        ("Order Completed", "purchase", "o1"),
        ("Order Refunded", "refund", "o1"),
        ("Cart Viewed", "cart_view", None),
        ("My Own", "custom", None),
    ],
)
def test_what_an_event_is_about(name: str, kind: str, ref: str | None) -> None:
    found = event(event=name, properties={"product_id": "p1", "query": "shoes", "order_id": "o1"})
    assert (found.name, found.kind, found.ref) == (name, kind, ref)


def test_an_order_s_value_is_its_total_else_revenue_else_its_lines() -> None:
    lines = [{"product_id": "a", "price": "1.50", "quantity": 3}, {"price": 2}, {"product_id": "b", "quantity": 9}]
    assert order(total=5, revenue=4, value=3, products=lines).value_minor == 500
    assert order(total=None, revenue=4, value=3, products=lines).value_minor == 400
    assert order(value=3, products=lines).value_minor == 300
    assert order(total=0, revenue=4).value_minor == 0
    found = order(products=lines)
    assert found.value_minor == 650
    assert [(line["product_id"], line["price_minor"], line["quantity"]) for line in found.lines or []] == [
        ("a", 150, 3),
        (None, 200, 1),
        ("b", None, 9),
    ]
    assert order().value_minor is None
    assert order(products=[{"product_id": "a"}]).value_minor is None


def test_an_order_without_lines_is_its_own_line() -> None:
    [line] = order(product_id="p", price="2.50", quantity=2, brand="b", category="c").lines or []
    assert line == {"product_id": "p", "category": "c", "brand": "b", "price_minor": 250, "quantity": 2}
    assert order(price=2).lines == []
    assert event(properties={"product_id": "p", "products": [{}]}).lines is None


def test_no_value_is_beyond_a_64_bit_integer() -> None:
    huge = {"price": 90_000_000_000}
    assert order(products=[huge]).value_minor == LARGEST_MINOR
    assert parsed(SAID | {"event": "Order Completed", "properties": {"products": [huge, huge]}}) is Reason.BAD_MONEY
    alone = {"product_id": "p", "quantity": 2, **huge}
    assert parsed(SAID | {"event": "Order Completed", "properties": alone}) is Reason.BAD_MONEY


def test_money_and_currency_of_the_rules() -> None:
    assert event(properties={"currency": "jpy", "price": 5}).price_minor == 5
    assert event({"currency_default": "KWD"}, properties={"price": "1.234"}).price_minor == 1234
    assert event({"money_excess_digits": "round"}, properties={"price": "1.005"}).price_minor == 100


@pytest.mark.parametrize(
    ("consent", "default", "may_analyse"),
    [
        (None, "grant", True),
        (None, "deny", False),
        ({}, "deny", False),
        ({"analyse": True}, "deny", True),
        ({"analyse": False}, "grant", False),
        ({"analyse": None}, "deny", False),
        ("yes", "grant", True),
    ],
)
def test_consent(consent: Any, default: str, may_analyse: bool) -> None:
    assert event({"consent_default": default}, context={"consent": consent}).may_analyse is may_analyse


@given(st.none() | st.binary(), st.none() | st.binary())
def test_no_bytes_raise(key: bytes | None, value: bytes | None) -> None:
    assert isinstance(parse(key, value, RULES), Reason)


@settings(max_examples=500)
@given(messages(), st.sampled_from(["reject", "round"]), st.sampled_from(["grant", "deny"]))
def test_no_json_in_any_field_raises(message: bytes, excess: str, consent: str) -> None:
    found = parsed(message, {"money_excess_digits": excess, "consent_default": consent})
    assert isinstance(found, Event | Reason)


@settings(max_examples=300)
@given(messages())
def test_what_the_entrance_takes_is_read_the_same_way(message: bytes) -> None:
    entered = enter(message, None, STAMP, b"secret")
    if isinstance(entered, Entered):
        found = parse(entered.headers[0][1], entered.value, RULES)
        if isinstance(found, Event):
            assert found.visitor.encode() == entered.key
            assert (found.event_id, found.type) == (entered.message_id, entered.call_type)
        else:
            assert found in {Reason.WRONG_TYPE, *(reason for reason, *_ in FAULTS[4:])}
