"""SQL that joins dimensions onto merged rows, when reading, as of the bucket's time.

Everything here takes the SQL of merged rows and gives SQL: whichever half the rows came from, they are joined alike.
"""

from __future__ import annotations

NOT_IN_CATALOGUE = "(not in catalogue)"
# What a product's category is, the first that is known: the catalogue wins over what events say.
_CATEGORY = ("catalogue_category",)


def catalogued(rows: str) -> str:
    """Rows of `hour, product_id, ...`, and what the catalogue said of the product when the hour began."""
    # A hash join over the few versions of each product: four times as fast as an ASOF join, and gaps need no care.
    return f"""
        SELECT v.*, c.category AS catalogue_category, c.brand AS catalogue_brand, c.name AS product_name,
               c.list_price_minor, c.currency AS list_price_currency
        FROM ({rows}) v LEFT JOIN dimension_products c
          ON v.product_id = c.product_id AND v.hour >= c.valid_from
         AND v.hour < coalesce(c.valid_to, TIMESTAMP 'infinity')
    """


def categories(products: str, sums: tuple[str, ...]) -> str:
    """Rows by product, added up by category."""
    return f"""
        SELECT hour, coalesce({", ".join(_CATEGORY)}, '{NOT_IN_CATALOGUE}') AS category, currency,
               {", ".join(f"sum({c})::BIGINT AS {c}" for c in sums)}
        FROM ({catalogued(products)}) GROUP BY ALL
    """


def rated(rows: str) -> str:
    """Rows of `day, currency, ...`, and that day's rate to the reporting currency; null where there is none."""
    own = "v.currency = reporting_currency()"
    return f"""
        SELECT v.*, CASE WHEN {own} THEN 1 ELSE x.rate_numerator END AS numerator,
               CASE WHEN {own} THEN 1 ELSE x.rate_denominator END AS denominator
        FROM ({rows}) v LEFT JOIN dimension_exchange_rates x
          ON x.day = v.day::DATE AND x.currency = v.currency AND x.reporting_currency = reporting_currency()
    """


def in_reporting(amount: str) -> str:
    """A sum of `amount` over rows of `rated`, each converted and rounded once; those without a rate are left out."""
    return f"coalesce(sum(converted({amount}, currency, numerator, denominator)), 0)::BIGINT"


def campaign_costs() -> str:
    """What campaigns cost, as spent and in the reporting currency."""
    costs = "SELECT day::TIMESTAMP AS day, channel, campaign, currency, amount_minor AS cost_minor"
    return f"""
        SELECT day, channel, campaign, currency, cost_minor,
               converted(cost_minor, currency, numerator, denominator) AS cost_reporting_minor,
               reporting_currency() AS reporting_currency, (numerator IS NULL)::BIGINT AS unconverted
        FROM ({rated(f"{costs} FROM dimension_campaign_costs")})
    """


def exchange_rates() -> str:
    """The rates as they were loaded."""
    return """
        SELECT day::TIMESTAMP AS day, currency, reporting_currency, rate_numerator, rate_denominator,
               rate_numerator / rate_denominator AS rate
        FROM dimension_exchange_rates
    """


def revenue_reporting(revenue: str) -> str:
    """Revenue by day in one currency, of `day, currency, orders, gross_minor, refunds, refunded_minor`."""
    gross, refunded = in_reporting("gross_minor"), in_reporting("refunded_minor")
    return f"""
        SELECT day, reporting_currency() AS currency, sum(orders)::BIGINT AS orders, {gross} AS gross_minor,
               sum(refunds)::BIGINT AS refunds, {refunded} AS refunded_minor, {gross} - {refunded} AS net_minor,
               coalesce(sum(orders + refunds) FILTER (numerator IS NULL), 0)::BIGINT AS unconverted
        FROM ({rated(revenue)}) GROUP BY day
    """


def roas(revenue: str) -> str:
    """Return on advertising spend by day, channel and campaign, in the reporting currency.

    `revenue` gives `day, channel, campaign, currency, orders, gross_minor`, in any number of rows each.
    """
    key = "day, channel, campaign"
    earned = f"SELECT {key}, currency, sum(orders)::BIGINT AS orders, sum(gross_minor)::BIGINT AS gross_minor"
    costs = "SELECT day::TIMESTAMP AS day, channel, campaign, currency, amount_minor FROM dimension_campaign_costs"
    same = " AND ".join(f"r.{c} IS NOT DISTINCT FROM c.{c}" for c in key.split(", "))
    return f"""
        SELECT {", ".join(f"coalesce(r.{c}, c.{c}) AS {c}" for c in key.split(", "))},
               reporting_currency() AS currency, coalesce(gross_minor, 0) AS gross_minor,
               coalesce(cost_minor, 0) AS cost_minor,
               CASE WHEN cost_minor > 0 THEN coalesce(gross_minor, 0) / cost_minor END AS roas,
               coalesce(r.unconverted, 0) + coalesce(c.unconverted, 0) AS unconverted
        FROM (
            SELECT {key}, {in_reporting("gross_minor")} AS gross_minor,
                   coalesce(sum(orders) FILTER (numerator IS NULL), 0)::BIGINT AS unconverted
            FROM ({rated(f"{earned} FROM ({revenue}) GROUP BY ALL")}) GROUP BY ALL
        ) r FULL JOIN (
            SELECT {key}, {in_reporting("amount_minor")} AS cost_minor,
                   count(*) FILTER (numerator IS NULL)::BIGINT AS unconverted
            FROM ({rated(costs)}) GROUP BY ALL
        ) c ON {same}
    """
