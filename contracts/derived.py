"""Derived tables: integer sums over entities (sessions, orders, refunds), one DuckDB SQL text each.

Their partials are never stored: a late event may change an entity already counted. The merged answer is

    gold - derive(base entities touched) + derive(combine(base entities touched + speed))

where *touched* are the entities whose key stands in the speed part. Every column that is not a key is an integer
sum over whole entities of one key, so this is exact.
"""

from __future__ import annotations

from dataclasses import dataclass

from contracts.measures import TOUCH


@dataclass(frozen=True, slots=True)
class Derived:
    """One derived table: `sql` reads the relation `entities` (rows of the measure `source`)."""

    name: str
    source: str
    description: str
    keys: tuple[str, ...]
    sql: str


# A session is a declared robot's where one of its events is.
IS_BOT = "bot_events > 0 AS is_declared_bot"
_SESSION_SUMS = """
    count(*)::BIGINT AS sessions, sum((events = 1)::BIGINT)::BIGINT AS bounces, sum(events)::BIGINT AS events,
    sum((epoch_us(last_at) - epoch_us(start_at)) // 1000)::BIGINT AS duration_ms,
    sum((carts > 0)::BIGINT)::BIGINT AS cart_sessions, sum((purchases > 0)::BIGINT)::BIGINT AS purchase_sessions,
    sum((carts > 0 AND purchases = 0)::BIGINT)::BIGINT AS abandoned_sessions
"""
_LINES = """(
    SELECT event_time, currency, is_declared_bot, unnest(lines, recursive := true) FROM entities WHERE len(lines) > 0
)"""


def _sales(name: str, key: str, what: str) -> Derived:
    return Derived(
        name,
        "orders",
        f"Lines of orders by hour, {what} and currency.",
        ("hour", key, "currency", "is_declared_bot"),
        f"""
        SELECT time_bucket(INTERVAL '1 hour', event_time) AS hour, {key}, currency, is_declared_bot,
               count(*)::BIGINT AS purchases,
               coalesce(sum(quantity), 0)::BIGINT AS units,
               coalesce(sum(price_minor * quantity), 0)::BIGINT AS revenue_minor
        FROM {_LINES} WHERE product_id IS NOT NULL GROUP BY ALL
        """,
    )


def _sessions_by(name: str, what: str, struct: str, columns: tuple[str, ...]) -> Derived:
    picked = ", ".join(f"{struct}.{c} AS {c}" for c in columns)
    return Derived(
        name,
        "sessions",
        f"Sessions and their visitors by day of the session's start, {what}.",
        ("day", *columns, "is_declared_bot"),
        f"""
        SELECT date_trunc('day', start_at)::TIMESTAMP AS day, {picked}, {IS_BOT},
               count(DISTINCT visitor)::BIGINT AS visitors, {_SESSION_SUMS}
        FROM entities GROUP BY ALL
        """,
    )


def _visitors(grain: str) -> Derived:
    return Derived(
        f"visitors_{grain}",
        "sessions",
        f"Distinct visitors and buyers by {grain}: those with a session that overlaps it.",
        (grain,),
        f"""
        SELECT {grain}, count(*)::BIGINT AS visitors, sum(bought)::BIGINT AS buyers,
               sum(is_bot)::BIGINT AS bot_visitors, sum(bought - bought_itself)::BIGINT AS bot_buyers
        FROM (
            SELECT visitor, max((purchases > 0)::BIGINT) AS bought, min((bot_events > 0)::BIGINT) AS is_bot,
                   max((purchases > 0 AND bot_events = 0)::BIGINT) AS bought_itself,
                   unnest(generate_series(date_trunc('{grain}', start_at), last_at, INTERVAL '1 {grain}')) AS {grain}
            FROM entities GROUP BY visitor, {grain}
        ) GROUP BY {grain}
        """,
    )


def _edges() -> Derived:
    edges = " UNION ALL ".join(
        f"SELECT start_at, '{role}' AS role, {event}.kind AS kind, {event}.ref AS ref, {IS_BOT} "
        "FROM entities WHERE len(trail) > 0"
        for role, event in (("entry", "trail[1]"), ("exit", "last_event"))
    )
    return Derived(
        "session_edges",
        "sessions",
        "Where sessions begin and end: sessions by day, role and page or product.",
        ("day", "role", "kind", "ref", "is_declared_bot"),
        f"""
        SELECT date_trunc('day', start_at)::TIMESTAMP AS day, role, kind, ref, is_declared_bot,
               count(*)::BIGINT AS sessions
        FROM ({edges}) GROUP BY ALL
        """,
    )


def _funnel(steps: tuple[str, ...]) -> Derived:
    """Ordered funnel inside one session. Each step takes the earliest event not before the step ahead of it."""
    reached = f"SELECT start_at, {IS_BOT}, trail, journey_events > len(trail) AS cut_off FROM entities"
    for number, kind in enumerate(steps, start=1):
        after = f" AND e.at >= at_{number - 1}" if number > 1 else ""
        reached = (
            f"SELECT *, list_filter(trail, lambda e: e.kind = '{kind}'{after})[1].at AS at_{number} FROM ({reached})"
        )
    counted = " UNION ALL ".join(
        f"SELECT start_at, is_declared_bot, {number}::BIGINT AS step, '{kind}' AS step_kind, cut_off FROM reached "
        f"WHERE at_{number} IS NOT NULL"
        for number, kind in enumerate(steps, start=1)
    )
    return Derived(
        "funnel",
        "sessions",
        f"Ordered funnel {' -> '.join(steps)}: sessions that reached each step, by day of their start.",
        ("day", "step", "step_kind", "is_declared_bot"),
        f"""
        WITH reached AS ({reached})
        SELECT date_trunc('day', start_at)::TIMESTAMP AS day, step, step_kind, is_declared_bot,
               count(*)::BIGINT AS sessions, sum(cut_off::BIGINT)::BIGINT AS truncated
        FROM ({counted}) GROUP BY ALL
        """,
    )


def derived(funnel_steps: tuple[str, ...]) -> dict[str, Derived]:
    """Every derived table by name."""
    declared = (
        Derived(
            "order_stats",
            "orders",
            "Orders and gross revenue by minute and currency.",
            ("minute", "currency", "is_declared_bot"),
            """
            SELECT time_bucket(INTERVAL '1 minute', event_time) AS minute, currency, is_declared_bot,
                   count(*)::BIGINT AS orders, coalesce(sum(value_minor), 0)::BIGINT AS gross_minor,
                   sum(copies - 1)::BIGINT AS repeated_orders
            FROM entities GROUP BY ALL
            """,
        ),
        Derived(
            "refund_stats",
            "refunds",
            "Refunds by minute and currency.",
            ("minute", "currency", "is_declared_bot"),
            """
            SELECT time_bucket(INTERVAL '1 minute', event_time) AS minute, currency, is_declared_bot,
                   count(*)::BIGINT AS refunds, coalesce(sum(value_minor), 0)::BIGINT AS refunded_minor
            FROM entities GROUP BY ALL
            """,
        ),
        _sales("product_sales", "product_id", "product"),
        _sales("brand_sales", "brand", "brand as sent"),
        Derived(
            "session_stats",
            "sessions",
            "Sessions by hour of their start: counts, bounces, duration, carts and purchases.",
            ("hour", "is_declared_bot"),
            f"""
            SELECT time_bucket(INTERVAL '1 hour', start_at) AS hour, {IS_BOT}, {_SESSION_SUMS},
                   sum((journey_events > len(trail))::BIGINT)::BIGINT AS truncated
            FROM entities GROUP BY ALL
            """,
        ),
        _sessions_by("session_sources", "channel, source, medium and campaign", "touch", TOUCH[:-1]),
        _sessions_by("session_origins", "device and country", "origin", ("device_class", "country")),
        _visitors("hour"),
        _visitors("day"),
        _edges(),
        _funnel(funnel_steps),
    )
    return {d.name: d for d in declared}
