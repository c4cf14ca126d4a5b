"""The dictionary of fields: one meaning per column name, wherever the column stands.

Tables take their column comments from here; a test fails where a table has a column that is not listed.
Times are UTC with microseconds; `_minor` is money in minor units of `currency`; `_ms` is milliseconds.
"""

from __future__ import annotations

import pyarrow as pa

from contracts.kinds import KINDS

UTC = pa.timestamp("us", "UTC")
INSTANT = pa.timestamp("us")

DESCRIPTIONS: dict[str, str] = {
    # the record
    "log": "Number of the log (one Kafka topic id) the record lies in.",
    "partition": "Kafka partition of the record.",
    "offset": "Kafka offset of the record: with log and partition, its name.",
    "broker_time": "When the broker appended the record.",
    "broker_date": "Date of broker_time; partitions the table.",
    "key": "The record's key: the visitor, UTF-8.",
    "value": "The record's value as it arrived: the envelope.",
    "headers": "The record's Kafka headers.",
    "dedupe_key": "The header tm-key: equal keys are copies of one event. Null where the header is missing.",
    # the event
    "event_id": "The sender's messageId, else one the entrance gave.",
    "fingerprint": "128-bit HMAC of what the sender said; with event_id it names an event whatever its copies.",
    "visitor": "The record's own anonymousId, else userId; never rewritten.",
    "anonymous_id": "anonymousId as sent.",
    "user_id": "userId as sent.",
    "type": "The call: track, page, screen, identify, group, alias.",
    "name": "Event name of a track call; page or screen name otherwise.",
    "kind": "Kind of event in Tidemark's vocabulary (contracts/kinds.py).",
    "event_time": "When it happened, by the sender's own clock.",
    "received_at": "When the entrance took it.",
    "sent_at": "When the sender says it sent it.",
    "product_id": "Product as sent.",
    "category": "Product category as sent.",
    "brand": "Product brand as sent.",
    "price_minor": "Unit price in minor units of currency.",
    "quantity": "Units.",
    "currency": "ISO 4217 code; the default currency where none was sent.",
    "order_id": "Order id as sent.",
    "value_minor": "Order or refund value in minor units: total, else revenue, else the sum of its lines.",
    "tax_minor": "Tax in minor units.",
    "shipping_minor": "Shipping in minor units.",
    "discount_minor": "Discount in minor units.",
    "coupon": "Coupon code as sent.",
    "lines": "Lines of an order: product_id, category, brand, price_minor, quantity.",
    "path": "Page path as sent.",
    "referrer": "Referrer as sent.",
    "query": "Search query as sent.",
    "ref": "What the event is about: product, page path, query or order, by kind.",
    "ip": "Address cut to /24 or /48 at the entrance.",
    "user_agent": "User-Agent header at the entrance, else the one in context.",
    "is_synthetic": "Same event_id as an earlier event with another payload.",
    "reason": "Why a record was refused; empty where it was not.",
    "status": "good, duplicate, rejected, no_consent or erased: every record is exactly one of them.",
    "rows": "Number of records.",
    # measures
    "minute": "Minute of event_time.",
    "hour": "Hour of event_time (of the session's start, for sessions).",
    "day": "UTC day of event_time (of the session's start, for sessions).",
    "events": "Number of events, duplicates removed.",
    "visitor_hashes": "The 4,096 smallest 64-bit visitor hashes of the minute: a bottom-k sketch. Do not sum.",
    "views": "Product views.",
    "carts": "Additions to a cart.",
    "pages": "Page and screen views.",
    "checkouts": "Checkouts started.",
    "purchases": "Purchase events; for products, order lines sold.",
    "searches": "Searches.",
    "order_key": "order_id, else the event_id of the order's event.",
    "refund_key": "event_id of the refund.",
    "copies": "How many purchase events named this order.",
    "start_at": "First event of the session.",
    "last_at": "Last event of the session.",
    "journey_events": "Events of journey kinds, including those the trail no longer holds.",
    "trail": "The first 256 journey events by (at, event_id): at, event_id, kind, ref, value_minor.",
    "last_event": "The last journey event: at, event_id, kind, ref, value_minor.",
    # derived
    "orders": "Orders, counted once each.",
    "gross_minor": "Value of orders, in the minute of each order's kept event.",
    "repeated_orders": "Further purchase events for an order already counted: not revenue.",
    "refunds": "Refunds.",
    "refunded_minor": "Value of refunds, in the minute of each refund.",
    "units": "Units sold.",
    "revenue_minor": "Line price times quantity of orders' lines, in minor units.",
    "sessions": "Sessions.",
    "bounces": "Sessions of exactly one event.",
    "duration_ms": "Sum of session durations, milliseconds.",
    "cart_sessions": "Sessions with a product added to the cart.",
    "purchase_sessions": "Sessions with a purchase.",
    "abandoned_sessions": "Sessions with a cart and no purchase.",
    "truncated": "Sessions whose trail overflowed: order questions on them are not exact.",
    "visitors": "Distinct visitors.",
    "buyers": "Distinct visitors with a purchase in one of their sessions of the period.",
    "role": "entry or exit.",
    "step": "Position in the funnel, from 1.",
    "step_kind": "Kind of event that reaches the step.",
    # dimensions
    "list_price_minor": "List price in minor units of its currency.",
    "valid_from": "From when the version holds.",
    "valid_to": "Until when the version holds, exclusive; null: it still does.",
    "amount_minor": "Amount in minor units of currency.",
    "reporting_currency": "ISO 4217 code of the currency that is converted to.",
    "rate_numerator": "With rate_denominator the rate as it was written, exactly: 1.0832 is 10832 / 10000.",
    "rate_denominator": "A power of ten.",
}
DESCRIPTIONS |= {f"{kind}_events": f"Events of kind {kind}." for kind in KINDS}

LINE = pa.struct(
    [
        ("product_id", pa.string()),
        ("category", pa.string()),
        ("brand", pa.string()),
        ("price_minor", pa.int64()),
        ("quantity", pa.int64()),
    ],
)
# One good event, as the transforms give it to the algebra (live) and to silver (batch).
EVENT = pa.schema(
    [
        ("log", pa.int32()),
        ("partition", pa.int32()),
        ("offset", pa.int64()),
        ("broker_time", UTC),
        ("event_id", pa.string()),
        ("fingerprint", pa.string()),
        ("visitor", pa.string()),
        ("type", pa.string()),
        ("name", pa.string()),
        ("kind", pa.string()),
        ("event_time", UTC),
        ("received_at", UTC),
        ("ref", pa.string()),
        ("product_id", pa.string()),
        ("category", pa.string()),
        ("brand", pa.string()),
        ("price_minor", pa.int64()),
        ("quantity", pa.int64()),
        ("currency", pa.string()),
        ("order_id", pa.string()),
        ("value_minor", pa.int64()),
        ("tax_minor", pa.int64()),
        ("shipping_minor", pa.int64()),
        ("discount_minor", pa.int64()),
        ("coupon", pa.string()),
        ("lines", pa.list_(LINE)),
        ("path", pa.string()),
        ("referrer", pa.string()),
        ("query", pa.string()),
    ],
)
BRONZE = pa.schema(
    [
        ("log", pa.int32()),
        ("partition", pa.int32()),
        ("offset", pa.int64()),
        ("broker_time", UTC),
        ("key", pa.binary()),
        ("dedupe_key", pa.binary()),
        ("value", pa.binary()),
        ("headers", pa.list_(pa.struct([("key", pa.string()), ("value", pa.binary())]))),
        ("broker_date", pa.date32()),
    ],
)
