"""Joined when reading: as of the bucket's time, in both halves alike, and money converted to the last cent."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import serving
from contracts.algebra import connect, naive
from contracts.dimensions import DIMENSIONS, LARGEST_RATE, MOST_RATE_DIGITS, macros
from contracts.money import minor_digits
from serving import Tidemark, dimension_views
from serving.api import query
from serving.api.catalog import describe
from serving.api.problems import Problem
from serving.views import VIEWS
from tests.unit.dimensions import HISTORY, catalogue, load_all, rates
from tests.unit.installation import START, Installation, event, lines, shop

DIMENSIONED: Final = (
    *("products", "categories", "revenue_reporting", "roas"),
    *("campaign_costs", "exchange_rates", "catalogue"),
    *("without_bots.products", "without_bots.categories", "without_bots.revenue_reporting", "without_bots.roas"),
)


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    made = Installation(tmp_path / "home")
    yield made
    made.close()


def bucket(text: str) -> datetime:
    """A time as views give it: UTC, naive."""
    return datetime.fromisoformat(text)


def categories(tm: Tidemark, product: str) -> dict[datetime, str | None]:
    found = tm.sql("SELECT hour, catalogue_category FROM products WHERE product_id = ? ORDER BY hour", [product])
    return {row["hour"]: row["catalogue_category"] for row in found.to_pylist()}


def test_a_bucket_has_the_version_of_the_moment_it_began(installation: Installation) -> None:
    midnight = datetime(2024, 5, 2, tzinfo=UTC)
    moments = [midnight + timedelta(microseconds=m) for m in (-1, 0, 1)] + [
        midnight + timedelta(hours=h) for h in (-1, 1, 2)
    ]
    views = [
        event(3 * n + k, at, product_id=p) for n, at in enumerate(moments) for k, p in enumerate(("p1", "p2", "p3"))
    ]
    installation.record(views)
    catalogue(installation.store, installation.settings, HISTORY)
    with serving.connect(installation.settings) as tm:
        hours = [bucket("2024-05-01T23:00:00"), *(bucket(f"2024-05-02T0{h}:00:00") for h in range(3))]
        for product, expected in {
            "p1": ("shoes", "boots", "boots", "boots"),
            "p2": ("hats", "hats", None, None),
            "p3": (None, "gloves", "gloves", "gloves"),
        }.items():
            assert categories(tm, product) == dict(zip(hours, expected, strict=True))
        (row,) = tm.sql("SELECT * FROM products WHERE product_id = 'p1' AND hour = ?", [hours[1]]).to_pylist()
        assert (row["list_price_minor"], row["list_price_currency"], row["views"]) == (200, "USD", 2)
        by_category = tm.sql("SELECT category, views FROM categories WHERE hour = ? ORDER BY ALL", [hours[2]])
        assert by_category.to_pylist() == [
            {"category": "(not in catalogue)", "views": 1},
            {"category": "boots", "views": 1},
            {"category": "gloves", "views": 1},
        ]


def test_a_product_without_a_category_is_not_lost(installation: Installation) -> None:
    installation.record(
        [event(0, datetime(2024, 5, 2, 5, tzinfo=UTC), product_id="p9"), event(1, START, product_id="p9")]
    )
    catalogue(installation.store, installation.settings, HISTORY)
    with serving.connect(installation.settings) as tm:
        found = tm.sql("SELECT category, sum(views)::BIGINT AS views FROM categories GROUP BY ALL").to_pylist()
        assert found == [{"category": "(not in catalogue)", "views": 2}]


def test_existing_columns_say_what_they_said(installation: Installation) -> None:
    installation.record(shop(4, 200))
    with serving.connect(installation.settings) as tm:
        before = tm.sql(
            "SELECT hour, product_id, currency, views, carts, purchases, units, revenue_minor FROM products"
        )
        catalogue(installation.store, installation.settings, HISTORY)
        tm.refresh()
        after = tm.sql(f"SELECT {', '.join(before.column_names)} FROM products")
        assert lines(after) == lines(before)
        sums = "sum(views), sum(carts), sum(purchases), sum(units), sum(revenue_minor)"
        for view in ("products", "categories"):
            assert tm.sql(f"SELECT currency, {sums} FROM {view} GROUP BY ALL ORDER BY ALL") == tm.sql(
                f"SELECT currency, {sums} FROM products GROUP BY ALL ORDER BY ALL"
            )


@pytest.mark.parametrize("cut", [0, 1, 70, 199, 200])
def test_both_halves_give_one_answer_at_any_cut_across_a_change(tmp_path: Path, cut: int) -> None:
    """Events on both sides of the cut and of the catalogue's change; loads between seal, publish and the next batch."""
    events = [e for e in shop(7, 200) if e["event_time"] < datetime(2024, 5, 3, tzinfo=UTC)]
    assert {e["event_time"].date() for e in events} >= {date(2024, 5, 1), date(2024, 5, 2)}
    alone, split = Installation(tmp_path / "alone" / "home"), Installation(tmp_path / "split" / "home")
    for made in (alone, split):
        made.settings.home.parent.mkdir(exist_ok=True)
    alone.record(events)
    load_all(alone.store, alone.settings)
    split.record(events[:cut])
    split.seal("r1")
    load_all(split.store, split.settings)
    split.record(events[cut:])
    with serving.connect(split.settings) as following, serving.connect(alone.settings) as speed_only:
        split.publish("r1")
        following.refresh()
        with serving.connect(split.settings) as fresh:
            assert fresh.as_of.cut == {p: sum(e["partition"] == p for e in events[:cut]) for p in (0, 1)}
            for view in DIMENSIONED:
                expected = lines(speed_only.sql(f"FROM {view}"))
                assert expected
                assert lines(following.sql(f"FROM {view}")) == lines(fresh.sql(f"FROM {view}")) == expected
    alone.close()
    split.close()


def test_another_run_with_the_same_versions_gives_the_same_answer(installation: Installation) -> None:
    """L1 with dimensions: publishing moves what is batch and what is speed, and no figure."""
    load_all(installation.store, installation.settings)
    installation.record(shop(8, 120))
    with serving.connect(installation.settings) as tm:
        answers = []
        for run_id in ("r1", "r2"):
            tm.refresh()
            answers.append({view: lines(tm.sql(f"FROM {view}")) for view in DIMENSIONED})
            installation.seal(run_id)
            installation.publish(run_id)
        tm.refresh()
        assert answers[0] == answers[1] == {view: lines(tm.sql(f"FROM {view}")) for view in DIMENSIONED}


# --- money ----------------------------------------------------------------------------------------------------------


def order(number: int, day: int, currency: str, value: int, kind: str = "purchase") -> dict[str, Any]:
    at = datetime(2024, 5, day, 12, tzinfo=UTC)
    return event(number, at, kind=kind, currency=currency, value_minor=value, order_id=f"o{number}")


def test_revenue_in_one_currency_leaves_nothing_out_unsaid(installation: Installation) -> None:
    installation.record(
        [
            order(0, 1, "USD", 1000),
            order(1, 1, "EUR", 100),
            order(2, 1, "EUR", 101),
            order(3, 1, "EUR", 50, "refund"),
            order(4, 1, "JPY", 700),
            order(5, 1, "JPY", 7, "refund"),
            order(6, 2, "EUR", 100),
        ]
    )
    rates(installation.store, installation.settings, "day,currency,rate\n2024-05-01,EUR,1.5\n2024-05-02,USD,1\n")
    with serving.connect(installation.settings) as tm:
        found = tm.sql("FROM revenue_reporting ORDER BY day").to_pylist()
    # 201 x 1.5 = 301.5, half to even: 302; the sum is rounded, not each order.
    first = {"orders": 4, "gross_minor": 1302, "refunds": 2, "refunded_minor": 75, "net_minor": 1227, "unconverted": 2}
    second = {"orders": 1, "gross_minor": 0, "refunds": 0, "refunded_minor": 0, "net_minor": 0, "unconverted": 1}
    assert found == [
        {"day": bucket("2024-05-01"), "currency": "USD", **first},
        {"day": bucket("2024-05-02"), "currency": "USD", **second},
    ]


def test_rates_to_another_currency_than_the_reporting_one_are_not_used(tmp_path: Path) -> None:
    made = Installation(tmp_path / "home")
    made.record([order(0, 1, "USD", 1000)])
    rates(
        made.store,
        made.settings,
        "day,currency,rate,reporting_currency\n2024-05-01,USD,0.9,EUR\n2024-05-01,USD,150,JPY\n",
    )
    for currency, minor, unconverted in (("EUR", 900, 0), ("JPY", 1500, 0), ("GBP", 0, 1)):
        chosen = type(made.settings)(home=made.settings.home, kafka="127.0.0.1:1", reporting_currency=currency)
        with serving.connect(chosen) as tm:
            (row,) = tm.sql("SELECT currency, gross_minor, unconverted FROM revenue_reporting").to_pylist()
            assert row == {"currency": currency, "gross_minor": minor, "unconverted": unconverted}
    made.close()


def test_costs_are_shown_whatever_has_been_recorded(installation: Installation) -> None:
    load_all(installation.store, installation.settings)
    with serving.connect(installation.settings) as tm:
        found = tm.sql(
            "SELECT currency, cost_minor, cost_reporting_minor, unconverted FROM campaign_costs ORDER BY ALL"
        )
        assert found.to_pylist() == [
            {"currency": "EUR", "cost_minor": 1050, "cost_reporting_minor": 1137, "unconverted": 0},
            {"currency": "JPY", "cost_minor": 3, "cost_reporting_minor": None, "unconverted": 1},
        ]
        assert tm.sql("FROM exchange_rates").num_rows == 2


def converting(reporting: str) -> duckdb.DuckDBPyConnection:
    con = connect()
    for statement in macros(reporting):
        con.execute(statement)
    return con


CONVERTING: Final = {code: converting(code) for code in ("USD", "JPY", "KWD", "CLF")}


@settings(max_examples=300)
@given(
    amount=st.one_of(st.integers(-1000, 1000), st.integers(-(2**63) + 1, 2**63 - 1)),
    numerator=st.one_of(st.sampled_from([1, 5, 15, 25]), st.integers(1, LARGEST_RATE)),
    digits=st.integers(0, MOST_RATE_DIGITS),
    currency=st.sampled_from(["USD", "JPY", "KWD", "CLF"]),
    into=st.sampled_from(["USD", "JPY", "KWD", "CLF"]),
)
def test_conversion_is_exact_and_rounds_half_to_even(
    amount: int, numerator: int, digits: int, currency: str, into: str
) -> None:
    con = CONVERTING[into]
    with localcontext(prec=100):
        major = Decimal(amount).scaleb(-minor_digits(currency)) * Decimal(numerator).scaleb(-digits)
        exact = int(major.scaleb(minor_digits(into)).quantize(Decimal(1), ROUND_HALF_EVEN))
    sql = "SELECT converted(?::BIGINT, ?, ?::BIGINT, ?::BIGINT)"
    given_ = [amount, currency, numerator, 10**digits]
    if abs(exact) >= 2**63:
        with pytest.raises(duckdb.ConversionException):
            con.execute(sql, given_).fetchall()
        return
    assert con.execute(sql, given_).fetchall() == [(exact,)]


def test_without_a_rate_there_is_no_amount() -> None:
    assert CONVERTING["USD"].sql("SELECT converted(5, 'EUR', NULL, NULL)").fetchall() == [(None,)]


def test_return_on_advertising_spend() -> None:
    con = converting("USD")
    day = bucket("2024-05-01")
    spent = {"day": day.date(), "channel": "Email", "currency": "EUR"}
    tables: dict[str, list[dict[str, Any]]] = {
        "exchange_rates": [
            {
                "day": day.date(),
                "currency": "EUR",
                "reporting_currency": "USD",
                "rate_numerator": 2,
                "rate_denominator": 1,
            }
        ],
        "campaign_costs": [
            {**spent, "campaign": "may", "amount_minor": 100},
            {**spent, "campaign": "may", "currency": "USD", "amount_minor": 50},
            {**spent, "campaign": None, "amount_minor": 30},
            {**spent, "campaign": "lost", "currency": "JPY", "amount_minor": 9},
        ],
    }
    for name, rows in tables.items():
        con.register("given", naive(pa.Table.from_pylist(rows, DIMENSIONS[name].schema)))
        con.execute(f"CREATE TABLE dimension_{name} AS SELECT * FROM given")
    revenue = """
        SELECT * FROM (VALUES
            ('Email', 'may', 'a', 'USD', 1, 400), ('Email', 'may', 'b', 'EUR', 2, 50),
            ('Direct', NULL, 'a', 'USD', 3, 70), ('Email', 'may', 'a', 'JPY', 4, 9)
        ) t(channel, campaign, source, currency, orders, gross_minor), (SELECT TIMESTAMP '2024-05-01' AS day)
    """
    found = con.sql(
        f"SELECT * EXCLUDE (day, currency) FROM ({dimension_views.roas(revenue)}) ORDER BY ALL"
    ).to_arrow_table()
    assert [tuple(row.values()) for row in found.to_pylist()] == [
        ("Direct", None, 70, 0, None, 0),
        ("Email", "lost", 0, 0, None, 1),
        ("Email", "may", 500, 250, 2.0, 4),
        ("Email", None, 0, 60, 0.0, 0),
    ]


def test_a_list_price_is_left_out_of_sums_as_text_is(installation: Installation) -> None:
    with serving.connect(installation.settings) as tm:
        every = describe(tm)
    described = every["products"]
    sql = query.build(described, [("group_by", "catalogue_category")]).sql
    assert 'sum("revenue_minor")' in sql
    assert "list_price" not in sql
    with pytest.raises(Problem, match="list_price_minor"):
        query.build(described, [("group_by", "product_id"), ("columns", "list_price_minor")])
    assert [c for view in DIMENSIONED if view in every for c in every[view].columns.values() if not c.description] == []


def test_every_column_of_a_dimension_is_described() -> None:
    for dimension in DIMENSIONS.values():
        assert dimension.view in VIEWS
        assert set(dimension.own) <= set(dimension.schema.names)
        assert all(dimension.says(name).endswith(".") for name in dimension.schema.names)
