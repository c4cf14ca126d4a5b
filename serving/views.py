"""The views people query, over the merged relations. One row of the dictionary each: name, what it says, its SQL.

Each view exists twice: in the schema `main` over everything, and in `without_bots` over what no declared robot did.
Their SQL is one and the same; there it reads the relations `human_<table>` where it says `all_<table>`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from contracts.kinds import KINDS
from contracts.measures import BREAKDOWNS, SKETCH_SIZE
from contracts.reports import REPORTS
from serving import dimension_views


def _added(columns: Iterable[str]) -> str:
    return ", ".join(f"sum({c})::BIGINT AS {c}" for c in columns)


WITHOUT_BOTS = "without_bots"
_RELATION = re.compile(r"\ball_(?=[a-z])")
_KIND_COUNTS = [f"{k}_events" for k in KINDS]
_KINDS = ", ".join(_KIND_COUNTS)
# (k - 1) / the k-th smallest hash as a share of the hash space: the bottom-k estimator (Beyer et al., SIGMOD 2007).
_ESTIMATE = (
    f"CASE WHEN len(visitor_hashes) < {SKETCH_SIZE} THEN len(visitor_hashes) ELSE round({SKETCH_SIZE - 1} / "
    f"((visitor_hashes[{SKETCH_SIZE}]::HUGEINT + 9223372036854775808)::DOUBLE / 18446744073709551616.0)) END::BIGINT"
)


_ITEM_SUMS = ("views", "carts", "purchases", "units", "revenue_minor")
_BROKEN_DOWN = ("pages", "views", "carts", "checkouts", "purchases", "searches")
_SESSION_SUMS = (
    *("sessions", "bounces", "events", "duration_ms"),
    *("cart_sessions", "purchase_sessions", "abandoned_sessions"),
)

_CHANNEL_REVENUE = """
    SELECT date_trunc('day', s.start_at)::TIMESTAMP AS day, s.touch.channel AS channel,
           s.touch.source AS source, s.touch.medium AS medium, s.touch.campaign AS campaign, o.currency,
           count(*)::BIGINT AS orders, coalesce(sum(o.value_minor), 0)::BIGINT AS gross_minor
    FROM all_orders o JOIN all_sessions s
      ON o.visitor = s.visitor AND o.event_time BETWEEN s.start_at AND s.last_at
    GROUP BY ALL
"""


@dataclass(frozen=True, slots=True)
class View:
    """A merged view. `time` is its time column, by which filters apply and far-off buckets are hidden."""

    name: str
    description: str
    sql: str
    time: str | None = None
    hides_ahead: bool = True


def _traffic_by(grain: str) -> View:
    none = ", ".join(f"0 AS {c}" for c in ("events", *_KIND_COUNTS))
    return View(
        f"traffic_{grain}",
        f"Events by kind, distinct visitors and buyers by {grain}. Exact.",
        f"""
        SELECT {grain}, {_added(("events", *_KIND_COUNTS, "visitors", "buyers"))} FROM (
            SELECT date_trunc('{grain}', minute)::TIMESTAMP AS {grain}, events, {_KINDS},
                   0 AS visitors, 0 AS buyers FROM all_traffic_minute
            UNION ALL SELECT {grain}, {none}, visitors, buyers FROM all_visitors_{grain}
        ) GROUP BY {grain}
        """,
        grain,
    )


def _items(name: str, key: str, what: str) -> View:
    """Two tables added up rather than joined: so a filter on the hour reaches what they are read from."""
    singular = name.removesuffix("s")
    return View(
        name,
        f"Views, cart additions, purchases, units and revenue by hour, {what} and currency.",
        f"""
        SELECT hour, {key}, currency, {_added(_ITEM_SUMS)} FROM (
            SELECT hour, {key}, currency, views, carts, 0 AS purchases, 0 AS units, 0 AS revenue_minor
            FROM all_{singular}_activity
            UNION ALL
            SELECT hour, {key}, currency, 0, 0, purchases, units, revenue_minor FROM all_{singular}_sales
        ) GROUP BY hour, {key}, currency
        """,
        "hour",
    )


def _revenue(name: str, grain: str) -> View:
    columns = ("orders", "gross_minor", "repeated_orders", "refunds", "refunded_minor")
    both = f"""
        SELECT date_trunc('{grain}', minute)::TIMESTAMP AS {grain}, currency, orders, gross_minor, repeated_orders,
               0 AS refunds, 0 AS refunded_minor FROM all_order_stats
        UNION ALL
        SELECT date_trunc('{grain}', minute)::TIMESTAMP, currency, 0, 0, 0, refunds, refunded_minor
        FROM all_refund_stats
    """
    return View(
        name,
        f"Orders, gross, refunds and net (gross - refunds) in minor units, by {grain} and currency.",
        f"""
        SELECT {grain}, currency, {_added(columns)},
               (sum(gross_minor) - sum(refunded_minor))::BIGINT AS net_minor
        FROM ({both}) GROUP BY ALL
        """,
        grain,
    )


def _products(items: View) -> View:
    """The products, with what the catalogue said of each when the hour began."""
    return replace(
        items,
        description=items.description.removesuffix(".") + "; and what the catalogue says of the product.",
        sql=dimension_views.catalogued(items.sql),
    )


def _of_dimensions() -> tuple[View, ...]:
    """Views that are dimensions, or need one to say anything."""
    items = _items("products", "product_id", "product")
    return (
        View(
            "categories",
            "Views, cart additions, purchases, units and revenue by hour, the catalogue's category and currency.",
            dimension_views.categories(items.sql, _ITEM_SUMS),
            "hour",
        ),
        View(
            "revenue_reporting",
            "Orders, gross, refunds and net by day in the reporting currency; what has no rate is counted apart.",
            dimension_views.revenue_reporting(_revenue("revenue_day", "day").sql),
            "day",
        ),
        View(
            "roas",
            "Gross revenue of sessions over campaign costs by day, channel and campaign, in the reporting currency.",
            dimension_views.roas(_CHANNEL_REVENUE),
            "day",
        ),
        View("catalogue", "The product catalogue, one row a version.", "SELECT * FROM dimension_products"),
        View(
            "campaign_costs",
            "What campaigns cost by day, channel, campaign and currency, and in the reporting currency.",
            dimension_views.campaign_costs(),
            "day",
            hides_ahead=False,
        ),
        View(
            "exchange_rates",
            "Exchange rates by day; the rate is exactly rate_numerator / rate_denominator.",
            dimension_views.exchange_rates(),
            "day",
            hides_ahead=False,
        ),
    )


VIEWS: dict[str, View] = {
    view.name: view
    for view in (
        View(
            "traffic",
            f"Events by kind and distinct visitors by minute; visitors are an estimate above {SKETCH_SIZE - 1}.",
            f"""
            SELECT minute, events, {_KINDS}, {_ESTIMATE} AS visitors,
                   len(visitor_hashes) >= {SKETCH_SIZE} AS is_estimate
            FROM (
                SELECT minute, {_added(("events", *_KIND_COUNTS))},
                       list_sort(list_distinct(flatten(list(visitor_hashes))))[1:{SKETCH_SIZE}] AS visitor_hashes
                FROM all_traffic_minute GROUP BY minute
            )
            """,
            "minute",
        ),
        _traffic_by("hour"),
        _traffic_by("day"),
        _products(_items("products", "product_id", "product")),
        _items("brands", "brand", "brand as sent"),
        View(
            "traffic_by",
            f"Events by hour and a breakdown, one of {', '.join(BREAKDOWNS)}. Sum within one breakdown.",
            f"""
            SELECT hour, breakdown, label, second_label, {_added(("events", *_BROKEN_DOWN))}
            FROM all_traffic_by GROUP BY ALL
            """,
            "hour",
        ),
        View("orders", "One row an order, by its first Order Completed.", "SELECT * FROM all_orders", "event_time"),
        View("refunds", "One row a refund.", "SELECT * FROM all_refunds", "event_time"),
        _revenue("revenue", "minute"),
        _revenue("revenue_day", "day"),
        View(
            "sessions",
            "One row a session. session_id may change when a late event arrives: no join key outside one answer.",
            """
            SELECT md5(visitor || '|' || epoch_us(start_at)) AS session_id, visitor, start_at, last_at,
                   (epoch_us(last_at) - epoch_us(start_at)) // 1000 AS duration_ms, events, pages, views, carts,
                   checkouts, purchases, searches, bot_events > 0 AS is_declared_bot, touch.channel AS channel,
                   touch.source AS source, touch.medium AS medium, touch.campaign AS campaign,
                   touch.landing AS landing, origin.device_class AS device_class, origin.os AS os,
                   origin.browser AS browser, origin.country AS country,
                   trail[1].kind AS entry_kind, trail[1].ref AS entry_ref,
                   last_event.kind AS exit_kind, last_event.ref AS exit_ref,
                   journey_events > len(trail) AS is_truncated, trail
            FROM all_sessions
            """,
            "start_at",
        ),
        View(
            "session_stats",
            "Sessions by hour of their start: counts, bounces, duration, carts, purchases, abandoned carts.",
            f"SELECT hour, {_added((*_SESSION_SUMS, 'truncated'))} FROM all_session_stats GROUP BY ALL",
            "hour",
        ),
        View(
            "channels",
            "Sessions and visitors by day of the session's start and where the session came from.",
            f"""
            SELECT day, channel, source, medium, campaign, {_added(("visitors", *_SESSION_SUMS))}
            FROM all_session_sources GROUP BY ALL
            """,
            "day",
        ),
        View(
            "channel_revenue",
            "Orders and gross revenue by day of the order's session, where the session came from, and currency.",
            _CHANNEL_REVENUE,
            "day",
        ),
        View(
            "devices",
            "Sessions and visitors by day of the session's start, device class and country of its first event.",
            f"""
            SELECT day, device_class, country, {_added(("visitors", *_SESSION_SUMS))}
            FROM all_session_origins GROUP BY ALL
            """,
            "day",
        ),
        View(
            "session_edges",
            "Where sessions begin and end: sessions by day, role, kind and page or product.",
            "SELECT day, role, kind, ref, sum(sessions)::BIGINT AS sessions FROM all_session_edges GROUP BY ALL",
            "day",
        ),
        View(
            "funnel",
            "The declared ordered funnel inside a session, by day of the session's start.",
            """
            SELECT day, step, step_kind, sum(sessions)::BIGINT AS sessions, sum(truncated)::BIGINT AS truncated
            FROM all_funnel GROUP BY ALL
            """,
            "day",
        ),
        View(
            "quality",
            "What became of every record, by partition, status and reason.",
            'SELECT log, partition, status, reason, sum("rows")::BIGINT AS "rows" FROM all_quality GROUP BY ALL',
        ),
        *_of_dimensions(),
        *(View(r.name, r.description, f"SELECT * FROM report_{r.name}", r.time) for r in REPORTS.values()),
    )
}


def statements() -> list[str]:
    """SQL that creates every view. Buckets further ahead than a day of the answer's time are hidden."""
    return [
        f"CREATE SCHEMA {WITHOUT_BOTS}",
        *(_create(view, view.name, view.sql) for view in VIEWS.values()),
        *(_create(view, f"{WITHOUT_BOTS}.{view.name}", _RELATION.sub("human_", view.sql)) for view in VIEWS.values()),
    ]


def _create(view: View, name: str, sql: str) -> str:
    hides = view.time and view.hides_ahead
    hidden = f" WHERE {view.time} <= (SELECT hidden_after FROM main.as_of)" if hides else ""
    return f"CREATE VIEW {name} AS SELECT * FROM ({sql}){hidden}"
