"""The oracle's verdict on records, rule by rule."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from contracts.errors import RunInvalid
from contracts.reasons import Reason
from serving.oracle.oracle import Oracle
from tests.golden.case import key_of
from tests.golden.records import RULES, envelope, oracle_of, table_of, verdicts

Value = bytes | str | dict[str, Any] | None


def nested(levels: int) -> bytes:
    return b'{"a":' * (levels - 1) + b"{}" + b"}" * (levels - 1)


def without(name: str) -> dict[str, Any]:
    return {k: v for k, v in envelope().items() if k != name}


def said(**message: Any) -> dict[str, Any]:
    return envelope(message)


def properties(**given: Any) -> dict[str, Any]:
    return envelope({"properties": given})


def many(values: list[Any]) -> list[Any]:
    return values


CASES: dict[str, list[Value]] = {
    "invalid_utf8": [b"\xff", b'{"a":"\xed\xa0\x80"}', b"[" * 66 + b"\xff"],
    "too_deep": [b"[" * 66, nested(66), nested(10_000), "]" * 9 + "[" * 75, '{"a":"\\"","b":' + "[" * 65],
    "not_json": [
        *(None, b"", "[]", '"text"', "{}{}", '{"a":1,}', '{"a":Infinity}', '{"a":"\n"}', "\ufeff{}", '{"a":01}'),
        *('{"a":"\\ud800"}', '{"\\uDFFF":1}', '{"a":"\\udc00\\ud800"}', '{"a":"\\ud800x\\udc00","a":1}'),
        *('{"a":"\\\\\\ud83d"}', '{"a":"\\ud83d\\\\ude00"}'),
        *(b"[" * 65, '"' + "[" * 99, "{" + '"a":[]' * 99, "[" * 65 + "]" * 65),
    ],
    "not_an_envelope": [
        *("{}", nested(65), '{"a":"' + "{[" * 99 + '"}', '{"a":"\\\\ud800\\ud83d\\ude00"}'),
        *(without(name) for name in ("type", "messageId", "receivedAt", "fingerprint", "message")),
        *(envelope(fingerprint=""), envelope(messageId=7), envelope(receivedAt="2024-03-01"), envelope(type=None)),
        *(without("message") | {"message": wrong} for wrong in many([None, [], "{}", 1])),
    ],
    "unknown_type": [envelope(type="click"), envelope(type=""), envelope(type=1), envelope(type="TRACK")],
    "wrong_type": [
        *(said(**{name: w}) for name in ("properties", "context", "traits") for w in many([[], "x", 0, False])),
        *(properties(products=w) for w in many([{}, "x", 1, [None], [[]], [{}, 1]])),
        *(said(**{name: w}) for name in ("anonymousId", "userId") for w in many([True, 1.5, {}, []])),
    ],
    "missing_id": [said(anonymousId=None), said(anonymousId="", userId=""), said(anonymousId="", userId=None)],
    "illegal_id": [
        *(said(anonymousId=i) for i in (" Null ", "NaN", "[object Object]", " ", "\t\u00a0\u2003", "é" * 256)),
        *(
            said(anonymousId="undefined", userId="bob"),
            said(anonymousId=None, userId="none"),
            said(anonymousId=10**255),
        ),
    ],
    "missing_event_name": [said(event=None), said(event=""), said(event=" \t\u3000"), said(event=5), said(event={})],
    "bad_currency": [properties(currency=c) for c in many(["", "US", "USDX", "U$D", " USD", 840, True, {}, []])],
    "bad_quantity": [
        *(
            properties(quantity=q)
            for q in many([1.5, "1.0", "", " 1", "one", True, {}, 10**9 + 1, -(10**9) - 1, "9" * 400])
        ),
        json.dumps(properties(quantity=5)).replace('"quantity": 5', '"quantity": 1e3'),
        properties(products=[{"quantity": 1}, {"quantity": "x"}]),
    ],
    "good": [
        *(said(properties=None, context=None, traits=None), properties(products=None), properties(products=[])),
        *(said(anonymousId=5), said(anonymousId=None, userId="u"), said(anonymousId="", userId=-7)),
        *(said(anonymousId="é" * 255), said(anonymousId="undef\u0131ned"), envelope({"event": None}, type="page")),
        *(properties(currency=c) for c in (None, "usd", "XYZ")),
        *(
            properties(quantity=q)
            for q in (None, 0, -3, "-3", "007", "-" + "0" * 400 + "7", 2.0, 10**9, "-1000000000", -0.0)
        ),
        *(said(context={"page": "x", "consent": "x"}), said(userId=None, extra=json.loads(nested(63)))),
        *(properties(products=[{"price": 9 * 10**9, "quantity": q}]) for q in (1, -10)),
        properties(price=9 * 10**10, quantity=2),
    ],
}


@pytest.mark.parametrize("reason", CASES)
def test_reason(reason: str) -> None:
    values = CASES[reason]
    assert dict(enumerate(verdicts(values))) == dict.fromkeys(range(len(values)), reason)


def test_every_reason_the_oracle_gives_is_in_the_contract() -> None:
    assert set(CASES) - {"good"} <= set(Reason)


ORDERED: list[tuple[str, Callable[[dict[str, Any]], Any]]] = [
    ("bad_money", lambda e: e["message"]["properties"].update(products=[{"price": 10**10, "quantity": 10}])),
    ("bad_quantity", lambda e: e["message"]["properties"].update(quantity="x")),
    ("excess_digits", lambda e: e["message"]["properties"].update(tax=0.001)),
    ("bad_money", lambda e: e["message"]["properties"].update(price="x")),
    ("bad_currency", lambda e: e["message"]["properties"].update(currency="x")),
    ("bad_timestamp", lambda e: e["message"].update(timestamp="x")),
    ("missing_event_name", lambda e: e["message"].update(event="")),
    ("illegal_id", lambda e: e["message"].update(anonymousId="null")),
    ("missing_id", lambda e: e["message"].update(anonymousId="")),
    ("wrong_type", lambda e: e["message"].update(traits=1)),
    ("unknown_type", lambda e: e.update(type="x")),
    ("not_an_envelope", lambda e: e.update(fingerprint="")),
]


def test_the_first_reason_in_order_counts() -> None:
    record = envelope({"properties": {}, "context": {"consent": {"analyse": False}}})
    records = []
    for number, (_, spoil) in enumerate(ORDERED):
        record["messageId"] = f"ordered {number}"
        spoil(record)
        records.append(json.dumps(record))
    assert verdicts(records) == [reason for reason, _ in ORDERED]


@pytest.mark.parametrize(
    ("analyse", "granted", "denied"),
    [
        (True, "good", "good"),
        (False, "no_consent", "no_consent"),
        (None, "good", "no_consent"),
        ("false", "good", "good"),
    ],
)
def test_consent(analyse: object, granted: str, denied: str) -> None:
    record = envelope({"context": {"consent": {"analyse": analyse}}})
    assert verdicts([record]) == [granted]
    assert verdicts([record], consent_default="deny") == [denied]


def test_absent_consent_is_the_default() -> None:
    records = [envelope(), said(context={}), said(context={"consent": None}), said(context={"consent": []})]
    assert verdicts(records) == ["good"] * 4
    assert verdicts(records, consent_default="deny") == ["no_consent"] * 4


def test_the_copy_lowest_by_log_partition_offset_is_good() -> None:
    value = json.dumps(envelope()).encode()
    places = [(1, 0, 5), (0, 1, 5), (0, 2, 1), (0, 1, 6)]
    names = dict(zip(("log", "partition", "offset"), zip(*places, strict=True), strict=True))
    oracle = Oracle(RULES)
    oracle.load(pa.table({**names, "dedupe_key": [key_of(value)] * 4, "value": [value] * 4}))
    rows = {(r["log"], r["partition"], r["status"]): r["rows"] for r in oracle.table("quality").to_pylist()}
    assert rows == {(0, 1, "good"): 1, (0, 1, "duplicate"): 1, (0, 2, "duplicate"): 1, (1, 0, "duplicate"): 1}


@pytest.mark.parametrize(
    ("first", "verdict"),
    [
        ({"timestamp": "x"}, "bad_timestamp"),
        ({"context": {"consent": {"analyse": False}}}, "no_consent"),
        ({"traits": 1}, "wrong_type"),
    ],
)
def test_a_copy_is_a_copy_whatever_became_of_the_first(first: dict[str, Any], verdict: str) -> None:
    stamps: dict[str, Any] = {"messageId": "m", "fingerprint": "f"}
    assert verdicts([envelope(first, **stamps), envelope(**stamps)]) == [verdict, "duplicate"]
    assert verdicts([envelope(**stamps), envelope(first, **stamps)]) == ["good", "duplicate"]


def keyed(*records: tuple[bytes | None, Value]) -> list[str]:
    """Verdicts on records that carry these deduplication keys."""
    oracle = Oracle(RULES)
    table = table_of(value for _, value in records)
    keys = pa.array([key for key, _ in records], pa.binary())
    oracle.load(table.set_column(table.column_names.index("dedupe_key"), "dedupe_key", keys))
    rows = oracle.table("quality").sort_by("partition").to_pylist()
    return [row["reason"] or row["status"] for row in rows]


def test_the_header_alone_makes_a_copy() -> None:
    value = envelope()
    key = key_of(json.dumps(value).encode())
    assert keyed((key, "junk"), (key, value), (key, b"\xff")) == ["not_json", "duplicate", "duplicate"]


@pytest.mark.parametrize("key", [None, b"", b"short", b"x" * 15, b"x" * 17, b"x" * 32])
def test_what_is_no_key_makes_no_copy(key: bytes | None) -> None:
    value = envelope()
    assert keyed((key, "junk"), (key, "junk"), (key, value), (key, value)) == ["not_json"] * 2 + ["not_an_envelope"] * 2


def test_an_envelope_carries_its_own_key() -> None:
    value = envelope(messageId="m\0\u00e9", fingerprint="f")
    digest = hashlib.sha256("m\0\u00e9\0f".encode()).digest()
    found = keyed((digest[:16], value), (digest, value), (digest[:15], value), (digest[16:], value))
    assert found == ["good", *["not_an_envelope"] * 3]
    assert keyed((None, envelope(type="click"))) == ["not_an_envelope"]


def test_fields_of_a_good_event() -> None:
    given = {"product_id": 12, "category": "", "brand": True, "currency": "eur", "query": " q ", "order_id": 1.50}
    record = said(event=" PRODUCT viewed\u00a0", anonymousId=" ada ", properties=given)
    (event,) = oracle_of([record]).events().to_pylist()
    wanted = {"kind": "view", "visitor": " ada ", "product_id": "12", "category": None, "brand": None, "ref": "12"}
    assert {name: event[name] for name in wanted} == wanted
    assert (event["currency"], event["query"], event["order_id"]) == ("EUR", " q ", "1.5")


def test_a_letter_that_only_looks_like_another_is_not_it() -> None:
    (event,) = oracle_of([said(event="Product V\u0130ewed")]).events().to_pylist()
    assert event["kind"] == "custom"


def test_records_may_come_in_parts_but_not_twice() -> None:
    records = table_of([envelope(), envelope(), "junk"])
    oracle = Oracle(RULES)
    assert oracle.load(records.slice(0, 1)) == 1
    assert oracle.table("sessions")["events"].to_pylist() == [1]
    assert oracle.load(records.slice(1).to_reader(max_chunksize=1)) == 2
    assert oracle.table("sessions")["events"].to_pylist() == [2]
    oracle.load(records.slice(2))
    with pytest.raises(RunInvalid, match="partition 2, offset 0"):
        oracle.table("quality")
