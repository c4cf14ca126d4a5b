"""The answers, in SQL over the facts: everything that is counted or summed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from contracts.kinds import KINDS

SKETCH_SIZE: Final = 4096
_HOUR_MICROS: Final = 3_600_000_000
_LONG_SUM: Final = "coalesce(sum({0}), 0)::BIGINT"
_IS_BOT: Final = "bot_events > 0 AS is_declared_bot"
_SESSION_SUMS: Final = f"""
    count(*) AS sessions, count(*) FILTER (events = 1) AS bounces, {_LONG_SUM.format("events")} AS events,
    {_LONG_SUM.format("date_sub('millisecond', start_at, last_at)")} AS duration_ms,
    count(*) FILTER (carts > 0) AS cart_sessions, count(*) FILTER (purchases > 0) AS purchase_sessions,
    count(*) FILTER (carts > 0 AND purchases = 0) AS abandoned_sessions
"""


def statements(rules: Mapping[str, str]) -> dict[str, str]:
    """The SQL of each answer by name; the tables of `rules` and `facts` must be there."""
    return {
        "quality": 'SELECT log, partition, status, reason, count(*) AS "rows" FROM judged GROUP BY ALL',
        "traffic_minute": _traffic(),
        "traffic_by": _traffic_by(),
        "product_activity": _activity("product_id"),
        "brand_activity": _activity("brand"),
        "order_stats": _per_minute("orders", "gross_minor", ", sum(copies)::BIGINT - count(*) AS repeated_orders"),
        "refund_stats": _per_minute("refunds", "refunded_minor"),
        "product_sales": _line_sales("product_id"),
        "brand_sales": _line_sales("brand"),
        "session_stats": _session_stats(),
        "session_sources": _sessions_by("touch", "channel", "source", "medium", "campaign"),
        "session_origins": _sessions_by("origin", "device_class", "country"),
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
        SELECT DISTINCT date_trunc('minute', event_time) AS minute, is_declared_bot, left(md5(visitor), 16) AS digest
        FROM events
    ), smallest AS (
        SELECT * FROM digests
        QUALIFY row_number() OVER (PARTITION BY minute, is_declared_bot ORDER BY digest) <= {SKETCH_SIZE}
    ), sketches AS (
        SELECT minute, is_declared_bot, list((('0x' || left(digest, 8))::BIGINT - 2147483648) * 4294967296
                            + ('0x' || right(digest, 8))::BIGINT ORDER BY digest) AS visitor_hashes
        FROM smallest GROUP BY ALL
    ), counted AS (
        SELECT date_trunc('minute', event_time) AS minute, is_declared_bot, count(*) AS events, {kinds}
        FROM events GROUP BY ALL
    )
    SELECT * FROM counted JOIN sketches USING (minute, is_declared_bot)
    """


# One query a breakdown, where the algebra makes one row of each in one pass.
_BREAKDOWNS: Final = {
    **{name: (name,) for name in ("os", "browser", "country", "category", "local_hour", "local_weekday")},
    **{name: (name,) for name in ("season", "holiday", "sale_event")},
    "device": ("device_class",),
    "device_country": ("device_class", "country"),
}


def _traffic_by() -> str:
    kinds = {"pages": "'page', 'screen'", "views": "'view'", "carts": "'cart'", "checkouts": "'checkout'"}
    kinds |= {"purchases": "'purchase'", "searches": "'search'"}
    counts = ", ".join(f"count(*) FILTER (kind IN ({kind})) AS {name}" for name, kind in kinds.items())
    return " UNION ALL ".join(
        f"SELECT date_trunc('hour', event_time) AS hour, '{name}' AS breakdown, {columns[0]}::VARCHAR AS label, "
        f"{f'{columns[1]}::VARCHAR' if columns[1:] else 'NULL::VARCHAR'} AS second_label, is_declared_bot, "
        f"count(*) AS events, {counts} FROM events GROUP BY ALL"
        for name, columns in _BREAKDOWNS.items()
    )


def _sessions_by(struct: str, *columns: str) -> str:
    picked = ", ".join(f"{struct}.{c} AS {c}" for c in columns)
    return f"""
    SELECT date_trunc('day', start_at)::TIMESTAMP AS day, {picked}, {_IS_BOT},
           count(DISTINCT visitor) AS visitors, {_SESSION_SUMS}
    FROM sessions GROUP BY ALL
    """


def _activity(key: str) -> str:
    return f"""
    SELECT date_trunc('hour', event_time) AS hour, {key}, currency, is_declared_bot,
           count(*) FILTER (kind = 'view') AS views,
           count(*) FILTER (kind = 'cart') AS carts
    FROM events WHERE product_id IS NOT NULL AND kind IN ('view', 'cart') GROUP BY ALL
    """


def _per_minute(source: str, amount: str, more: str = "") -> str:
    return f"""
    SELECT date_trunc('minute', event_time) AS minute, currency, is_declared_bot, count(*) AS {source},
           {_LONG_SUM.format("value_minor")} AS {amount}{more}
    FROM {source} GROUP BY minute, currency, is_declared_bot
    """


def _line_sales(key: str) -> str:
    return f"""
    SELECT date_trunc('hour', event_time) AS hour, line.{key} AS {key}, currency, is_declared_bot,
           count(*) AS purchases,
           {_LONG_SUM.format("line.quantity")} AS units,
           {_LONG_SUM.format("line.price_minor::HUGEINT * line.quantity")} AS revenue_minor
    FROM orders, unnest(lines) AS sold(line) WHERE line.product_id IS NOT NULL GROUP BY ALL
    """


def _session_stats() -> str:
    return f"""
    SELECT date_trunc('hour', start_at) AS hour, {_IS_BOT}, {_SESSION_SUMS},
           count(*) FILTER (journey_events > len(trail)) AS truncated
    FROM sessions GROUP BY ALL
    """


def _presence(grain: str, micros: int) -> str:
    """Who was there: a session is present in every period between its first and its last event."""
    return f"""
    WITH present AS (
        SELECT visitor, purchases, bot_events > 0 AS is_bot,
               unnest(range(epoch_us(start_at) // {micros}, epoch_us(last_at) // {micros} + 1)) AS period
        FROM sessions
    ), counted AS (
        SELECT period, count(DISTINCT visitor) AS visitors, count(DISTINCT visitor) FILTER (purchases > 0) AS buyers,
               count(DISTINCT visitor) FILTER (NOT is_bot) AS humans,
               count(DISTINCT visitor) FILTER (purchases > 0 AND NOT is_bot) AS human_buyers
        FROM present GROUP BY period
    )
    SELECT make_timestamp(period * {micros}) AS {grain}, visitors, buyers, visitors - humans AS bot_visitors,
           buyers - human_buyers AS bot_buyers
    FROM counted
    """


def _edges() -> str:
    return f"""
    SELECT date_trunc('day', start_at)::TIMESTAMP AS day, role, edge.kind AS kind, edge.ref AS ref, is_declared_bot,
           count(*) AS sessions
    FROM (UNPIVOT (SELECT start_at, {_IS_BOT}, trail[1] AS "entry", last_event AS "exit" FROM sessions)
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
    SELECT date_trunc('day', start_at)::TIMESTAMP AS day, step, step_kind, {_IS_BOT}, count(*) AS sessions,
           count(*) FILTER (journey_events > len(trail)) AS truncated
    FROM ({reached}) JOIN sessions USING (visitor, start_at) GROUP BY ALL
    """
