"""JSON as strangers write it, for property tests: any value, and the numbers that parsers disagree about."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from contracts.envelope import record_key

ODD_TOKENS = (
    "-0",
    "1E5",
    "1e400",
    "-1e-400",
    "0.1e1",
    "10.000000000000000001",
    "12345678901234567.89",
    "9" * 40,
    "9" * 4300,
    "9" * 5000 + ".0",
    "0." + "1" * 5000,
    '"' + "9" * 5000 + '"',
    '"-' + "0" * 5000 + '1"',
    '"0.' + "9" * 5000 + '"',
    '"\\u0000"',
    '"\\ud83c\\udf0a"',
    '"null"',
    '" 12.50 "',
    '"\u0661\u0662"',
    '"2024-02-30T00:00:00Z"',
    '"9999-12-31T23:59:59-01:00"',
    '"0001-01-01T00:00:00+18:00"',
)
_LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
_VALUES = st.recursive(
    _LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)
# One JSON value, as text.
json_texts: st.SearchStrategy[str] = _VALUES.map(json.dumps) | st.sampled_from(ODD_TOKENS)

SAID = (
    "event",
    "name",
    "type",
    "anonymousId",
    "userId",
    "messageId",
    "timestamp",
    "originalTimestamp",
    "sentAt",
    "properties",
    "context",
    "traits",
)
PROPERTIES = (
    "product_id",
    "category",
    "brand",
    "price",
    "quantity",
    "currency",
    "order_id",
    "total",
    "revenue",
    "value",
    "tax",
    "shipping",
    "discount",
    "coupon",
    "products",
    "path",
    "query",
)


def object_text(members: dict[str, str]) -> str:
    """A JSON object of members whose values are JSON texts already."""
    return "{" + ",".join(f"{json.dumps(name)}:{text}" for name, text in members.items()) + "}"


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    """A message that was good until some of its fields were replaced by any JSON."""
    event = draw(st.sampled_from(["Order Completed", "Order Refunded", "Product Viewed", "My Own"]))
    line = {"product_id": '"p1"', "price": "12.50", "quantity": "2"}
    line |= draw(st.dictionaries(st.sampled_from(["product_id", "price", "quantity", "brand"]), json_texts, max_size=2))
    properties = {"order_id": '"o1"', "total": "25.00", "currency": '"EUR"', "products": f"[{object_text(line)}]"}
    properties |= draw(st.dictionaries(st.sampled_from(PROPERTIES), json_texts, max_size=3))
    context = draw(st.dictionaries(st.sampled_from(["page", "consent", "userAgent"]), json_texts, max_size=2))
    said = {
        "type": '"track"',
        "event": json.dumps(event),
        "anonymousId": '"v1"',
        "timestamp": '"2024-03-01T10:00:00Z"',
        "properties": object_text(properties),
        "context": object_text(context),
    }
    said |= draw(st.dictionaries(st.sampled_from(SAID), json_texts, max_size=2))
    return object_text(said).encode()


def record(message: Any, **stamps: Any) -> tuple[bytes, bytes]:
    """Header key and value of a record around `message`: bytes as they are, anything else as JSON."""
    raw = message if isinstance(message, bytes) else json.dumps(message).encode()
    stamped = {"type": "track", "messageId": "m1", "receivedAt": "2024-03-01T12:00:00.000Z", "fingerprint": "f1"}
    stamped = {name: value for name, value in (stamped | stamps).items() if value is not ...}
    value = json.dumps(stamped)[:-1].encode() + b',"message":' + raw + b"}"
    return record_key(str(stamped.get("messageId")), str(stamped.get("fingerprint"))), value
