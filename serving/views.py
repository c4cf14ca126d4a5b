"""The views people query, over the merged relations. One row of the dictionary each: name, what it says, its SQL."""

from __future__ import annotations

from dataclasses import dataclass, replace

from contracts.kinds import KINDS
from contracts.measures import SKETCH_SIZE
from serving import dimension_views

_KINDS = ", ".join(f"{k}_events" for k in KINDS)
_SUMMED = ", ".join(f"sum({c})::BIGINT AS {c}" for c in ("events", *(f"{k}_events" for k in KINDS)))
# (k - 1) / the k-th smallest hash as a share of the hash space: the bottom-k estimator (Beyer et al., SIGMOD 2007).
_ESTIMATE = (
    f"CASE WHEN len(visitor_hashes) < {SKETCH_SIZE} THEN len(visitor_hashes) ELSE round({SKETCH_SIZE - 1} / "
    f"((visitor_hashes[{SKETCH_SIZE}]::HUGEINT + 9223372036854775808)::DOUBLE / 18446744073709551616.0)) END::BIGINT"
)


@dataclass(frozen=True, slots=True)
class View:
    """A merged view. `time` is its time column, by which filters apply and far-off buckets are hidden."""

    name: str
    description: str
    sql: str
    time: str | None = None
    hides_ahead: bool = True


def _traffic_by(grain: str) -> View:
    return View(
        f"traffic_{grain}",
        f"Events by kind, distinct visitors and buyers by {grain}. Exact.",
        f"""
        SELECT coalesce(t.{grain}, v.{grain}) AS {grain}, coalesce(events, 0) AS events,
               {", ".join(f"coalesce({k}_events, 0) AS {k}_events" for k in KINDS)},
               coalesce(visitors, 0) AS visitors, coalesce(buyers, 0) AS buyers
        FROM (
            SELECT date_trunc('{grain}', minute)::TIMESTAMP AS {grain}, {_SUMMED} FROM all_traffic_minute GROUP BY ALL
        ) t
        FULL JOIN all_visitors_{grain} v ON t.{grain} = v.{grain}
        """,
        grain,
    )


def _items(name: str, key: str, what: str) -> View:
    measures = {"views": "a", "carts": "a", "purchases": "s", "units": "s", "revenue_minor": "s"}
    columns = ", ".join(f"coalesce({side}.{c}, 0) AS {c}" for c, side in measures.items())
    singular = name.removesuffix("s")
    return View(
        name,
        f"Views, cart additions, purchases, units and revenue by hour, {what} and currency.",
        f"""
        SELECT coalesce(a.hour, s.hour) AS hour, coalesce(a.{key}, s.{key}) AS {key},
               coalesce(a.currency, s.currency) AS currency, {columns}
        FROM all_{singular}_activity a FULL JOIN all_{singular}_sales s
          ON a.hour = s.hour AND a.{key} IS NOT DISTINCT FROM s.{key} AND a.currency = s.currency
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
        SELECT {grain}, currency, {", ".join(f"sum({c})::BIGINT AS {c}" for c in columns)},
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
            dimension_views.categories(items.sql, ("views", "carts", "purchases", "units", "revenue_minor")),
            "hour",
        ),
        View(
            "revenue_reporting",
            "Orders, gross, refunds and net by day in the reporting currency; what has no rate is counted apart.",
            dimension_views.revenue_reporting(_revenue("revenue_day", "day").sql),
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
            FROM all_traffic_minute
            """,
            "minute",
        ),
        _traffic_by("hour"),
        _traffic_by("day"),
        _products(_items("products", "product_id", "product")),
        _items("brands", "brand", "brand as sent"),
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
                   checkouts, purchases, searches, trail[1].kind AS entry_kind, trail[1].ref AS entry_ref,
                   last_event.kind AS exit_kind, last_event.ref AS exit_ref,
                   journey_events > len(trail) AS is_truncated, trail
            FROM all_sessions
            """,
            "start_at",
        ),
        View(
            "session_stats",
            "Sessions by hour of their start: counts, bounces, duration, carts, purchases, abandoned carts.",
            "SELECT * FROM all_session_stats",
            "hour",
        ),
        View(
            "session_edges",
            "Where sessions begin and end: sessions by day, role, kind and page or product.",
            "SELECT * FROM all_session_edges",
            "day",
        ),
        View(
            "funnel",
            "The declared ordered funnel inside a session, by day of the session's start.",
            "SELECT * FROM all_funnel",
            "day",
        ),
        View(
            "quality",
            "What became of every record, by partition, status and reason.",
            "SELECT * FROM all_quality",
        ),
        *_of_dimensions(),
    )
}


def statements() -> list[str]:
    """SQL that creates every view. Buckets further ahead than a day of the answer's time are hidden."""
    return [
        f"CREATE VIEW {view.name} AS SELECT * FROM ({view.sql})"
        + (f" WHERE {view.time} <= (SELECT hidden_after FROM as_of)" if view.time and view.hides_ahead else "")
        for view in VIEWS.values()
    ]
