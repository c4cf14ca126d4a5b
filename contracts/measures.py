"""The stored measures: keyed partials and how two partials of one key become one.

A measure is declared by two DuckDB SQL texts. `lift` turns each event into a unit partial; `combine` merges partials
of equal key, whatever their number, order or grouping (associative, commutative). Everything else follows:

    partials(events) = combine(lift(events))         a micro-batch, a table's part
    merged           = combine(gold + partials)      the answer

Live, the batch jobs, the store's folding and serving all run these texts; there is no second implementation.
Times inside the algebra are naive UTC timestamps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from contracts.kinds import JOURNEY_KINDS, KINDS

TRAIL_LENGTH = 256
SKETCH_SIZE = 4096


@dataclass(frozen=True, slots=True)
class Measure:
    """One stored table of partials.

    `lift` reads the relation `events`; `combine` reads `parts`, whose columns are those `lift` gives.
    `entity` names the key that derived tables are kept exact by, where rows are entities (sessions, orders).
    """

    name: str
    description: str
    keys: tuple[str, ...]
    lift: str
    combine: str
    entity: str | None = None


def additive(name: str, description: str, keys: tuple[str, ...], lift: str, combine: Mapping[str, str]) -> Measure:
    """A measure whose combine is one aggregate per column."""
    columns = ", ".join([*keys, *(f"{sql} AS {column}" for column, sql in combine.items())])
    return Measure(name, description, keys, lift, f"SELECT {columns} FROM parts GROUP BY {', '.join(keys)}")


def total(*columns: str) -> dict[str, str]:
    """Sums, as 64-bit integers: an overflow is an error, never a wrap or a float."""
    return {c: f"sum({c})::BIGINT" for c in columns}


def _traffic() -> Measure:
    kinds = ", ".join(f"(kind = '{k}')::BIGINT AS {k}_events" for k in KINDS)
    return additive(
        "traffic_minute",
        "Events by minute and kind, and a sketch of the minute's distinct visitors.",
        ("minute", "is_declared_bot"),
        f"""
        SELECT time_bucket(INTERVAL '1 minute', event_time) AS minute, is_declared_bot, 1::BIGINT AS events, {kinds},
               [(('0x' || substr(md5(visitor), 1, 16))::UBIGINT::HUGEINT - 9223372036854775808)::BIGINT]
                   AS visitor_hashes
        FROM events
        """,
        {
            **total("events", *(f"{k}_events" for k in KINDS)),
            "visitor_hashes": f"list_sort(list_distinct(flatten(list(visitor_hashes))))[1:{SKETCH_SIZE}]",
        },
    )


def _activity(name: str, key: str, what: str) -> Measure:
    return additive(
        name,
        f"Views and cart additions by hour, {what} and currency.",
        ("hour", key, "currency", "is_declared_bot"),
        f"""
        SELECT time_bucket(INTERVAL '1 hour', event_time) AS hour, {key}, currency, is_declared_bot,
               (kind = 'view')::BIGINT AS views, (kind = 'cart')::BIGINT AS carts
        FROM events WHERE kind IN ('view', 'cart') AND product_id IS NOT NULL
        """,
        total("views", "carts"),
    )


# What traffic is broken down by, a name -> its one or two columns: each by itself, and the pairs a view needs.
BREAKDOWNS: dict[str, tuple[str, ...]] = {
    "device": ("device_class",),
    "os": ("os",),
    "browser": ("browser",),
    "country": ("country",),
    "device_country": ("device_class", "country"),
    "category": ("category",),
    "local_hour": ("local_hour",),
    "local_weekday": ("local_weekday",),
    "season": ("season",),
    "holiday": ("holiday",),
    "sale_event": ("sale_event",),
}
_BROKEN_DOWN = {
    "pages": "kind IN ('page', 'screen')",
    "views": "kind = 'view'",
    "carts": "kind = 'cart'",
    "checkouts": "kind = 'checkout'",
    "purchases": "kind = 'purchase'",
    "searches": "kind = 'search'",
}


def _traffic_by() -> Measure:
    """Grouping sets in one table: each event is one unit in every breakdown, where it is unknown under NULL."""
    sets = ", ".join(
        f"struct_pack(breakdown := '{name}', label := {columns[0]}::VARCHAR, "
        f"second_label := {f'{columns[1]}::VARCHAR' if columns[1:] else 'NULL::VARCHAR'})"
        for name, columns in BREAKDOWNS.items()
    )
    counts = ", ".join(f"({sql})::BIGINT AS {c}" for c, sql in _BROKEN_DOWN.items())
    return additive(
        "traffic_by",
        "Events by hour and what they are broken down by: device, country and so on, each by itself.",
        ("hour", "breakdown", "label", "second_label", "is_declared_bot"),
        f"""
        SELECT time_bucket(INTERVAL '1 hour', event_time) AS hour, unnest([{sets}], recursive := true),
               is_declared_bot, 1::BIGINT AS events, {counts}
        FROM events
        """,
        total("events", *_BROKEN_DOWN),
    )


_ORDER_COLUMNS = (
    "event_time",
    "event_id",
    "fingerprint",
    "visitor",
    "is_declared_bot",
    "currency",
    "value_minor",
    "tax_minor",
    "shipping_minor",
    "discount_minor",
    "coupon",
    "lines",
)


def _kept_first(name: str, description: str, key: str, key_sql: str, kind: str, columns: tuple[str, ...]) -> Measure:
    """Rows of which the first event by (event_time, event_id, fingerprint) gives the values."""
    kept = ", ".join(f"{c} := {c}" for c in columns)
    return Measure(
        name,
        description,
        (key,),
        f"SELECT {key_sql} AS {key}, 1::BIGINT AS copies, {', '.join(columns)} FROM events WHERE kind = '{kind}'",
        f"""
        SELECT {key}, copies, {", ".join(f"kept.{c} AS {c}" for c in columns)}
        FROM (SELECT {key}, sum(copies)::BIGINT AS copies, min(struct_pack({kept})) AS kept FROM parts GROUP BY {key})
        """,
        entity=key,
    )


# What a session takes from its first event that has a source, and from its first event.
TOUCH = ("channel", "source", "medium", "campaign", "landing")
ORIGIN = ("device_class", "os", "browser", "country")


def _sessions(gap_seconds: int) -> Measure:
    journey = ", ".join(f"'{k}'" for k in JOURNEY_KINDS)
    counts = {"bot_events": "is_declared_bot"} | _BROKEN_DOWN
    entry = "struct_pack(at := event_time, event_id := event_id, kind := kind, ref := ref, value_minor := value_minor)"
    first = {"touch": TOUCH, "origin": ORIGIN}
    packed = {n: ", ".join(f"{c} := {c}" for c in columns) for n, columns in first.items()}
    at = "struct_pack(at := event_time, event_id := event_id, {})"
    sums = ", ".join(f"{sql} AS {c}" for c, sql in total("events", *counts, "journey_events").items())
    return Measure(
        "sessions",
        f"Sessions: a visitor's events no more than {gap_seconds} s apart, with the trail of the journey.",
        ("visitor", "start_at"),
        f"""
        SELECT visitor, event_time AS start_at, event_time AS last_at, 1::BIGINT AS events,
               {", ".join(f"({sql})::BIGINT AS {c}" for c, sql in counts.items())},
               (kind IN ({journey}))::BIGINT AS journey_events,
               CASE WHEN kind IN ({journey}) THEN [{entry}] ELSE [] END AS trail,
               CASE WHEN kind IN ({journey}) THEN {entry} END AS last_event,
               CASE WHEN channel IS NOT NULL THEN {at.format(packed["touch"])} END AS touch,
               {at.format(packed["origin"])} AS origin
        FROM events
        """,
        f"""
        WITH marked AS (
            SELECT *, coalesce(epoch_us(start_at) - epoch_us(max(last_at) OVER (
                PARTITION BY visitor ORDER BY start_at, last_at ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
            )) > {gap_seconds * 1_000_000}, true)::INT AS opens
            FROM parts
        ), numbered AS (
            SELECT *, sum(opens) OVER (PARTITION BY visitor ORDER BY start_at, last_at RANGE UNBOUNDED PRECEDING) AS island
            FROM marked
        )
        SELECT visitor, min(start_at) AS start_at, max(last_at) AS last_at, {sums},
               list_sort(flatten(list(trail)))[1:{TRAIL_LENGTH}] AS trail, max(last_event) AS last_event,
               min(touch) AS touch, min(origin) AS origin
        FROM numbered GROUP BY visitor, island
        """,  # noqa: E501 - a window reads best on one line
        entity="visitor",
    )


def measures(session_gap_seconds: int) -> dict[str, Measure]:
    """Every stored measure by name."""
    declared = (
        _traffic(),
        _traffic_by(),
        _activity("product_activity", "product_id", "product"),
        _activity("brand_activity", "brand", "brand as sent"),
        _kept_first(
            "orders",
            "One row an order: the first Order Completed by (event_time, event_id, fingerprint).",
            "order_key",
            "coalesce(order_id, event_id)",
            "purchase",
            _ORDER_COLUMNS,
        ),
        _kept_first(
            "refunds",
            "One row a refund.",
            "refund_key",
            "event_id",
            "refund",
            (
                *("event_time", "event_id", "fingerprint", "visitor", "is_declared_bot"),
                *("order_id", "currency", "value_minor"),
            ),
        ),
        _sessions(session_gap_seconds),
    )
    return {m.name: m for m in declared}


# Not lifted from events: the driver counts what became of every record of a range.
QUALITY = additive(
    "quality",
    "What became of every record: rows by partition, status and reason.",
    ("log", "partition", "status", "reason"),
    "SELECT * FROM events",
    total("rows"),
)
