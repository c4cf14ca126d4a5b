"""The good records as facts, in SQL: `events`, and from them `sales`, `orders`, `refunds` and `sessions`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from contracts.kinds import JOURNEY_KINDS, PRODUCT_KINDS
from serving.oracle.enriching import QUARTER
from serving.oracle.rules import ORDERS

TRAIL_LENGTH: Final = 256
_COUNTED: Final = {
    "pages": ("page", "screen"),
    "views": ("view",),
    "carts": ("cart",),
    "checkouts": ("checkout",),
    "purchases": ("purchase",),
    "searches": ("search",),
    "journey_events": JOURNEY_KINDS,
}
_MONEY: Final = "currency, value_minor, tax_minor, shipping_minor, discount_minor, coupon, lines"


def statements(rules: Mapping[str, str]) -> dict[str, str]:
    """The SQL of each table by name, in the order they are made; `said` and those of `rules` must be there."""
    return {
        "named": _named(),
        "sales": _sales(),
        "events": _events(),
        "sessions": _sessions(int(rules["session_gap_seconds"])),
        "orders": _firsts(
            "order_key", "coalesce(order_id, event_id)", "purchase", f"visitor, is_declared_bot, {_MONEY}"
        ),
        "refunds": _firsts(
            "refund_key", "event_id", "refund", "visitor, is_declared_bot, order_id, currency, value_minor"
        ),
    }


def _named() -> str:
    """Good records with their names: one row an event, money still missing."""
    return """
    SELECT n, string_of(messageId) AS event_id, string_of(fingerprint) AS fingerprint, visitor,
           kind, event_time, heads.currency, name_of(product_id) AS product_id, name_of(category) AS category,
           name_of(brand) AS brand, name_of(order_id) AS order_id, name_of(coupon) AS coupon,
           name_of(query) AS query, name_of(name) AS page,
           coalesce(name_of(path), name_of(page_path)) AS path, lines, device_class, os, browser,
           coalesce(is_declared_bot, false) AS is_declared_bot, source, medium, campaign, channel, landing, country,
           zone
    FROM said JOIN judged USING (n) JOIN heads USING (n)
    WHERE status = 'good'
    """


def _sales() -> str:
    """Money of orders and refunds. Lines are the products; without any, the event itself is the one line (0)."""
    amounts = ", ".join(
        f"max(minor) FILTER (field = '{field}') AS {field}"
        for field in ("total", "revenue", "value", "tax", "shipping", "discount")
    )
    return f"""
    WITH sold AS (SELECT * FROM named WHERE kind IN ({ORDERS})),
    lines AS (
        SELECT n, unnest(range(1, len(lines) + 1)) AS line, unnest(lines, recursive := true)
        FROM (SELECT n, list_transform(lines, lambda l: struct_pack(product_id := name_of(l.product_id),
              category := name_of(l.category), brand := name_of(l.brand))) AS lines FROM sold WHERE len(lines) > 0)
        UNION ALL
        SELECT n, 0, product_id, category, brand FROM sold WHERE coalesce(len(lines), 0) = 0 AND product_id IS NOT NULL
    ), listed AS (
        SELECT n, sum(worth)::BIGINT AS worth,
               list(struct_pack(product_id, category, brand, price_minor, quantity) ORDER BY line) AS lines
        FROM lines JOIN priced USING (n, line) GROUP BY n
    ), paid AS (
        SELECT n, {amounts} FROM amounts WHERE line = 0 GROUP BY n
    )
    SELECT sold.n, coalesce(total, revenue, value, worth) AS value_minor, tax AS tax_minor,
           shipping AS shipping_minor, discount AS discount_minor, coalesce(listed.lines, []) AS lines
    FROM sold LEFT JOIN listed USING (n) LEFT JOIN paid USING (n)
    """


def _events() -> str:
    return f"""
    SELECT named.* EXCLUDE (lines), sales.* EXCLUDE (n), local_times.* EXCLUDE (zone, country, quarter),
           CASE WHEN kind IN ({_listed(PRODUCT_KINDS)}) THEN product_id
                WHEN kind = 'page' THEN coalesce(path, page)
                WHEN kind = 'screen' THEN page
                WHEN kind = 'search' THEN query
                WHEN kind IN ('purchase', 'refund', 'checkout') THEN order_id END AS ref
    FROM named LEFT JOIN sales USING (n) LEFT JOIN local_times
      ON named.zone IS NOT DISTINCT FROM local_times.zone AND named.country IS NOT DISTINCT FROM local_times.country
     AND quarter = epoch_us(event_time) // {QUARTER}
    """


def _sessions(gap_seconds: int) -> str:
    """One row a session: an event opens one where the visitor's previous event is more than the gap before it.

    The running sum is over peers (RANGE): events of one instant are in one session, whichever is sorted first.
    """
    step = "struct_pack(at := event_time, event_id := event_id, kind := kind, ref := ref, value_minor := value_minor)"
    journey = f"kind IN ({_listed(JOURNEY_KINDS)})"
    at = "struct_pack(at := event_time, event_id := event_id, {})"
    touch = at.format(_packed("channel, source, medium, campaign, landing"))
    origin = at.format(_packed("device_class, os, browser, country"))
    order = "event_time, event_id"
    counts = ", ".join(f"count(*) FILTER (kind IN ({_listed(kinds)})) AS {c}" for c, kinds in _COUNTED.items())
    return f"""
    WITH opened AS (
        SELECT *, coalesce(event_time - lag(event_time) OVER by_time > to_seconds({gap_seconds}), true) AS opens
        FROM events WINDOW by_time AS (PARTITION BY visitor ORDER BY event_time)
    ), spells AS (
        SELECT *, count(*) FILTER (opens) OVER (
            PARTITION BY visitor ORDER BY event_time RANGE UNBOUNDED PRECEDING) AS spell
        FROM opened
    ), grouped AS (
        SELECT visitor, min(event_time) AS start_at, max(event_time) AS last_at, count(*) AS events,
               count(*) FILTER (is_declared_bot) AS bot_events, {counts},
               coalesce(list({step} ORDER BY event_time, event_id, kind, ref NULLS LAST, value_minor NULLS LAST)
                        FILTER ({journey}), []) AS journey,
               first({touch} ORDER BY {order}, channel, {_nulls_last("source, medium, campaign, landing")})
                   FILTER (channel IS NOT NULL) AS touch,
               first({origin} ORDER BY {order}, {_nulls_last("device_class, os, browser, country")}) AS origin
        FROM spells GROUP BY visitor, spell
    )
    SELECT * EXCLUDE (journey, touch, origin), journey[1:{TRAIL_LENGTH}] AS trail, journey[-1] AS last_event,
           touch, origin
    FROM grouped
    """


def _firsts(key: str, key_sql: str, kind: str, columns: str) -> str:
    """One row a key: the event that came first gives the values, the others are only counted."""
    return f"""
    SELECT {key_sql} AS {key}, count(*) OVER (PARTITION BY {key_sql}) AS copies,
           event_time, event_id, fingerprint, {columns}
    FROM events WHERE kind = '{kind}'
    QUALIFY row_number() OVER (PARTITION BY {key_sql} ORDER BY event_time, event_id, fingerprint) = 1
    """


def _packed(names: str) -> str:
    return ", ".join(f"{name} := {name}" for name in names.split(", "))


def _nulls_last(names: str) -> str:
    return ", ".join(f"{name} NULLS LAST" for name in names.split(", "))


def _listed(texts: Iterable[str]) -> str:
    return ", ".join(f"'{text}'" for text in texts)
