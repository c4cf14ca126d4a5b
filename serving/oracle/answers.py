"""The answers, in SQL over the facts: everything that is counted or summed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from contracts.kinds import KINDS

SKETCH_SIZE: Final = 4096
_HOUR_MICROS: Final = 3_600_000_000
_LONG_SUM: Final = "coalesce(sum({0}), 0)::BIGINT"


def statements(rules: Mapping[str, str]) -> dict[str, str]:
    """The SQL of each answer by name; the tables of `rules` and `facts` must be there."""
    return {
        "quality": 'SELECT log, partition, status, reason, count(*) AS "rows" FROM judged GROUP BY ALL',
        "traffic_minute": _traffic(),
        "product_activity": _activity("product_id"),
        "brand_activity": _activity("brand"),
        "order_stats": _per_minute("orders", "gross_minor", ", sum(copies)::BIGINT - count(*) AS repeated_orders"),
        "refund_stats": _per_minute("refunds", "refunded_minor"),
        "product_sales": _line_sales("product_id"),
        "brand_sales": _line_sales("brand"),
        "session_stats": _session_stats(),
        "visitors_hour": _presence("hour", _HOUR_MICROS),
        "visitors_day": _presence("day", 24 * _HOUR_MICROS),
        "session_edges": _edges(),
        "funnel": _funnel([step.strip() for step in rules["funnel_steps"].split(",")]),
    }


def _traffic() -> str:
    """Events by minute and kind. The sketch goes by the digest's hexadecimal text, whose order is the number's."""
    kinds = ", ".join(f"count(*) FILTER (kind = '{kind}') AS {kind}_events" for kind in KINDS)
    return f"""
    WITH digests AS (
        SELECT DISTINCT date_trunc('minute', event_time) AS minute, left(md5(visitor), 16) AS digest FROM events
    ), smallest AS (
        SELECT minute, digest FROM digests
        QUALIFY row_number() OVER (PARTITION BY minute ORDER BY digest) <= {SKETCH_SIZE}
    ), sketches AS (
        SELECT minute, list((('0x' || left(digest, 8))::BIGINT - 2147483648) * 4294967296
                            + ('0x' || right(digest, 8))::BIGINT ORDER BY digest) AS visitor_hashes
        FROM smallest GROUP BY minute
    ), counted AS (
        SELECT date_trunc('minute', event_time) AS minute, count(*) AS events, {kinds} FROM events GROUP BY minute
    )
    SELECT * FROM counted JOIN sketches USING (minute)
    """


def _activity(key: str) -> str:
    return f"""
    SELECT date_trunc('hour', event_time) AS hour, {key}, currency, count(*) FILTER (kind = 'view') AS views,
           count(*) FILTER (kind = 'cart') AS carts
    FROM events WHERE product_id IS NOT NULL AND kind IN ('view', 'cart') GROUP BY ALL
    """


def _per_minute(source: str, amount: str, more: str = "") -> str:
    return f"""
    SELECT date_trunc('minute', event_time) AS minute, currency, count(*) AS {source},
           {_LONG_SUM.format("value_minor")} AS {amount}{more}
    FROM {source} GROUP BY minute, currency
    """


def _line_sales(key: str) -> str:
    return f"""
    SELECT date_trunc('hour', event_time) AS hour, line.{key} AS {key}, currency, count(*) AS purchases,
           {_LONG_SUM.format("line.quantity")} AS units,
           {_LONG_SUM.format("line.price_minor::HUGEINT * line.quantity")} AS revenue_minor
    FROM orders, unnest(lines) AS sold(line) WHERE line.product_id IS NOT NULL GROUP BY ALL
    """


def _session_stats() -> str:
    return f"""
    SELECT date_trunc('hour', start_at) AS hour, count(*) AS sessions, count(*) FILTER (events = 1) AS bounces,
           {_LONG_SUM.format("events")} AS events,
           {_LONG_SUM.format("date_sub('millisecond', start_at, last_at)")} AS duration_ms,
           count(*) FILTER (carts > 0) AS cart_sessions, count(*) FILTER (purchases > 0) AS purchase_sessions,
           count(*) FILTER (carts > 0 AND purchases = 0) AS abandoned_sessions,
           count(*) FILTER (journey_events > len(trail)) AS truncated
    FROM sessions GROUP BY hour
    """


def _presence(grain: str, micros: int) -> str:
    """Who was there: a session is present in every period between its first and its last event."""
    return f"""
    SELECT make_timestamp(period * {micros}) AS {grain}, count(DISTINCT visitor) AS visitors,
           count(DISTINCT visitor) FILTER (purchases > 0) AS buyers
    FROM (SELECT visitor, purchases,
                 unnest(range(epoch_us(start_at) // {micros}, epoch_us(last_at) // {micros} + 1)) AS period
          FROM sessions)
    GROUP BY period
    """


def _edges() -> str:
    return """
    SELECT date_trunc('day', start_at)::TIMESTAMP AS day, role, edge.kind AS kind, edge.ref AS ref, count(*) AS sessions
    FROM (UNPIVOT (SELECT start_at, trail[1] AS "entry", last_event AS "exit" FROM sessions)
          ON "entry", "exit" INTO NAME role VALUE edge)
    GROUP BY ALL
    """


def _funnel(kinds: list[str]) -> str:
    """Each step joins the moment of the step before it: the earliest event of its kind from then on."""
    steps = ["s0 AS (SELECT visitor, start_at, start_at AS moment FROM sessions)"]
    for number, kind in enumerate(kinds, start=1):
        steps.append(f"""s{number} AS (
            SELECT visitor, start_at, min(steps.moment) AS moment
            FROM steps JOIN s{number - 1} AS before USING (visitor, start_at)
            WHERE kind = '{kind}' AND steps.moment >= before.moment GROUP BY ALL)""")
    reached = " UNION ALL ".join(
        f"SELECT visitor, start_at, {number}::BIGINT AS step, '{kind}' AS step_kind FROM s{number}"
        for number, kind in enumerate(kinds, start=1)
    )
    return f"""
    WITH steps AS (
        SELECT visitor, start_at, e.at AS moment, e.kind AS kind FROM sessions, unnest(trail) AS t(e)
    ), {", ".join(steps)}
    SELECT date_trunc('day', start_at)::TIMESTAMP AS day, step, step_kind, count(*) AS sessions,
           count(*) FILTER (journey_events > len(trail)) AS truncated
    FROM ({reached}) JOIN sessions USING (visitor, start_at) GROUP BY ALL
    """
