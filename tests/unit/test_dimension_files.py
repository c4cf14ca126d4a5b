"""Files of dimensions: what is taken from them, each way they can be wrong, and that a wrong one changes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from contracts.dimensions import CAMPAIGN_COSTS, EXCHANGE_RATES, PRODUCTS
from contracts.errors import DimensionInvalid, TidemarkError
from contracts.settings import Settings
from infra.dimensions import rows
from infra.dimensions.load import load_campaign_costs, load_catalogue, load_exchange_rates
from speed_layer.store import Store, open_store
from tests.unit.dimensions import NOW, products, read_versions, stored, written

HEADER = "product_id,category,brand,list_price,currency\n"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home")


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    with open_store(settings.store) as opened:
        yield opened


BAD_CATALOGUES: dict[str, tuple[str, str | bytes, str]] = {
    "missing column": ("c.csv", "product_id,brand,list_price\np1,b,1\n", "lacks the column category"),
    "misspelt column": ("c.csv", "product_id,categroy,brand,list_price\np1,a,b,1\n", "lacks the column category"),
    "column twice": ("c.csv", HEADER.replace("brand", "category") + "p1,a,b,1,USD\n", "category twice"),
    "no header": ("c.csv", "", "no header"),
    "no rows": ("c.csv", HEADER, "holds no rows"),
    "too few fields": ("c.csv", HEADER + "p1,a,b\n", "line 2 has 3 fields, the header 5"),
    "too many fields": ("c.csv", HEADER + "p1,a,b,1,USD,x\n", "line 2 has 6 fields"),
    "not CSV": ("c.csv", HEADER + 'p1,"a"b,c,1,USD\n', "is not CSV"),
    "open quote": ("c.csv", HEADER + 'p1,"a,c,1,USD\n', "is not CSV"),
    "broken UTF-8": ("c.csv", HEADER.encode() + b"p1,caf\xe9,b,1,USD\n", "not UTF-8"),
    "an image": ("c.csv", b"\x89PNG\r\n\x1a\n\x00\x00", "not UTF-8"),
    "product twice": ("c.csv", HEADER + "p1,a,b,1,USD\np1,a,b,2,USD\n", "product_id p1 twice"),
    "no product": ("c.csv", HEADER + ",a,b,1,USD\n", "line 2: product_id is empty"),
    "blank product": ("c.csv", HEADER + "  ,a,b,1,USD\n", "product_id is empty"),
    "excess digits": ("c.csv", HEADER + "p1,a,b,1.005,USD\n", "more digits than USD"),
    "no such digits in yen": ("c.csv", HEADER + "p1,a,b,1.5,JPY\n", "more digits than JPY"),
    "price is text": ("c.csv", HEADER + "p1,a,b,cheap,USD\n", "no amount"),
    "price with thousands": ("c.csv", HEADER + 'p1,a,b,"1,299.00",USD\n', "no amount"),
    "price is not finite": ("c.csv", HEADER + "p1,a,b,NaN,USD\n", "no amount"),
    "price with an exponent": ("c.csv", HEADER + "p1,a,b,1e3,USD\n", "no amount"),
    "negative price": ("c.csv", HEADER + "p1,a,b,-1,USD\n", "negative"),
    "price too large": ("c.csv", HEADER + f"p1,a,b,{10**14},USD\n", "no amount"),
    "unknown currency": ("c.csv", HEADER + "p1,a,b,1,UDS\n", "'UDS' is no ISO 4217 currency"),
    "overlapping validity": (
        "c.csv",
        products(("p1", "a", 1, "2024-01-01", "2024-03-01"), ("p1", "b", 1, "2024-02-29", "")),
        "product p1 overlap at 2024-02-29",
    ),
    "two open versions": (
        "c.csv",
        products(("p1", "a", 1, "2024-01-01", ""), ("p1", "b", 1, "2024-02-01", "")),
        "overlap",
    ),
    "the same version twice": ("c.csv", products(*[("p1", "a", 1, "2024-01-01", "2024-02-01")] * 2), "overlap"),
    "ends before it begins": ("c.csv", products(("p1", "a", 1, "2024-02-01", "2024-01-01")), "is not after valid_from"),
    "ends when it begins": ("c.csv", products(("p1", "a", 1, "2024-02-01", "2024-02-01")), "is not after valid_from"),
    "no beginning": ("c.csv", products(("p1", "a", 1, "", "2024-02-01")), "valid_from is empty"),
    "no such day": ("c.csv", products(("p1", "a", 1, "2024-02-30", "")), "no ISO 8601 time"),
    "validity without a beginning": (
        "c.csv",
        HEADER.replace("currency", "valid_to") + "p1,a,b,1,\n",
        "lacks the column",
    ),
    "not JSON": ("c.jsonl", '{"product_id": "p1"\n', "line 1 is not JSON"),
    "JSON that is NaN": ("c.jsonl", '{"list_price": NaN}\n', "no JSON number"),
    "a JSON list": ("c.jsonl", "[1]\n", "no JSON object"),
    "JSON without a column": (
        "c.jsonl",
        '{"product_id": "p1", "list_price": 1, "brand": null}\n',
        "lacks the column category",
    ),
    "a JSON object for text": (
        "c.jsonl",
        '{"product_id": {}, "category": "a", "brand": "b", "list_price": 1}\n',
        "of the type dict",
    ),
    "half a character": (
        "c.jsonl",
        '{"product_id": "\\ud800", "category": "a", "brand": "b", "list_price": 1}\n',
        "no text",
    ),
    "not Parquet": ("c.parquet", "product_id\n", "not Parquet"),
    "another format": ("c.xlsx", "x", "neither CSV, JSON Lines nor Parquet"),
}


@pytest.mark.parametrize("is_first", [True, False], ids=["first load", "later load"])
@pytest.mark.parametrize(("name", "content", "says"), BAD_CATALOGUES.values(), ids=BAD_CATALOGUES.keys())
def test_a_bad_catalogue_is_refused_as_a_whole(
    settings: Settings, store: Store, name: str, content: str | bytes, says: str, is_first: bool
) -> None:
    if not is_first:
        good = written(settings, "good.csv", HEADER + "p1,kept,b,1,USD\n")
        load_catalogue(settings, store, good, None, NOW, is_complete=False, anew=False)
    before = (stored(settings, PRODUCTS), read_versions(store))
    with pytest.raises(DimensionInvalid, match=says) as refused:
        load_catalogue(settings, store, written(settings, name, content), None, NOW, is_complete=False, anew=False)
    assert refused.value.remedy
    assert (stored(settings, PRODUCTS), read_versions(store)) == before
    assert len(before[0]) == (0 if is_first else 1)


def test_one_wrong_row_among_many_takes_all_with_it(settings: Settings, store: Store) -> None:
    good = "".join(f"p{i},a,b,1,USD\n" for i in range(60_000))
    bad = "".join(f"q{i},a,b,1.005,USD\n" for i in range(7))
    path = written(settings, "c.csv", HEADER + good + bad)
    with pytest.raises(DimensionInvalid, match=r"line 60002: .*; and 2 more"):
        load_catalogue(settings, store, path, None, NOW, is_complete=False, anew=False)
    assert stored(settings, PRODUCTS) == []


def test_a_file_that_is_not_there(settings: Settings, store: Store) -> None:
    for load in (load_campaign_costs, load_exchange_rates):
        with pytest.raises(DimensionInvalid, match="There is no file"):
            load(settings, store, settings.home / "none.csv", NOW, anew=False)
    with pytest.raises(DimensionInvalid, match="There is no file"):
        load_catalogue(settings, store, settings.home.parent / "none.jsonl", None, NOW, is_complete=False, anew=False)


BAD_COSTS = {
    "missing column": ("day,campaign,amount\n2024-05-01,c,1\n", "lacks the column channel"),
    "no day": ("day,channel,campaign,amount\n,a,c,1\n", "day is empty"),
    "a time for a day": ("day,channel,campaign,amount\n2024-05-01T10:00:00Z,a,c,1\n", "no date"),
    "no channel": ("day,channel,campaign,amount\n2024-05-01,,c,1\n", "channel is empty"),
    "no amount": ("day,channel,campaign,amount\n2024-05-01,a,c,\n", "amount is empty"),
    "excess digits": ("day,channel,campaign,amount\n2024-05-01,a,c,1.001\n", "more digits than USD"),
    "twice": ("day,channel,campaign,amount\n2024-05-01,a,,1\n2024-05-01,a,,2\n", "twice"),
}
BAD_RATES = {
    "missing column": ("day,currency\n2024-05-01,EUR\n", "lacks the column rate"),
    "no currency": ("day,currency,rate\n2024-05-01,,1\n", "currency is empty"),
    "unknown currency": ("day,currency,rate\n2024-05-01,EURO,1\n", "no ISO 4217"),
    "zero": ("day,currency,rate\n2024-05-01,EUR,0.00\n", "zero"),
    "negative": ("day,currency,rate\n2024-05-01,EUR,-1\n", "no rate"),
    "exponent": ("day,currency,rate\n2024-05-01,EUR,1e-3\n", "no rate"),
    "no digits": ("day,currency,rate\n2024-05-01,EUR,.\n", "no rate"),
    "too many digits": (f"day,currency,rate\n2024-05-01,EUR,0.{'0' * 15}1\n", "at most 15 digits"),
    "too large": (f"day,currency,rate\n2024-05-01,EUR,{10**15 + 1}\n", "at most 15|too many"),
    "to itself": ("day,currency,rate\n2024-05-01,USD,1.1\n", "to itself is not 1"),
    "twice": ("day,currency,rate\n2024-05-01,EUR,1\n2024-05-01,EUR,1.10\n", "twice"),
}


@pytest.mark.parametrize(("text", "says"), BAD_COSTS.values(), ids=BAD_COSTS.keys())
def test_bad_costs_are_refused_as_a_whole(settings: Settings, store: Store, text: str, says: str) -> None:
    load_campaign_costs(
        settings, store, written(settings, "g.csv", "day,channel,campaign,amount\n2024-05-01,a,c,9\n"), NOW, anew=False
    )
    before = (stored(settings, CAMPAIGN_COSTS), read_versions(store))
    with pytest.raises(DimensionInvalid, match=says):
        load_campaign_costs(settings, store, written(settings, "k.csv", text), NOW, anew=False)
    assert (stored(settings, CAMPAIGN_COSTS), read_versions(store)) == before


@pytest.mark.parametrize(("text", "says"), BAD_RATES.values(), ids=BAD_RATES.keys())
def test_bad_rates_are_refused_as_a_whole(settings: Settings, store: Store, text: str, says: str) -> None:
    with pytest.raises(DimensionInvalid, match=says):
        load_exchange_rates(settings, store, written(settings, "r.csv", text), NOW, anew=False)
    assert (stored(settings, EXCHANGE_RATES), read_versions(store)) == ([], {})


EXPECTED = {
    "product_id": "p1",
    "category": "Café, bar",
    "brand": None,
    "name": "x",
    "list_price_minor": 123456789012,
    "currency": "USD",
    "valid_from": datetime(2024, 1, 1, tzinfo=UTC),
    "valid_to": datetime(2024, 2, 1, 11, 30, tzinfo=UTC),
}
SAID = {"product_id": "p1", "category": "Café, bar", "brand": None, "name": "x", "list_price": "1234567890.12"}
VALID = {"valid_from": "2024-01-01", "valid_to": "2024-02-01T12:30:00+01:00"}


def formats(tmp_path: Path) -> Iterator[Path]:
    line = 'p1,"Café, bar",,x,1234567890.120,2024-01-01,2024-02-01T12:30:00+01:00\n'
    names = ",".join((*SAID, *VALID))
    texts = {
        "a.csv": f"\ufeff{names}\n{line}",
        "crlf.csv": f"{names}\n{line}\n".replace("\n", "\r\n"),
        "b.tsv": f"{names}\n{line}".replace('"Café, bar"', "Café; bar").replace(",", "\t").replace(";", ","),
        "c.csv": f"{names}\n{line}".replace('"Café, bar"', "Café. bar").replace(",", ";").replace(". ", ", "),
        "d.jsonl": json.dumps({**SAID, **VALID, "more": [1]}) + "\n\n",
        # A JSON number whose float would lose its cents.
        "e.jsonl": json.dumps({**SAID, **VALID}).replace('"1234567890.12"', "1234567890.12") + "\n",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text, encoding="utf-8", newline="")
        yield tmp_path / name
    exact = {**SAID, "list_price": Decimal("1234567890.1200"), "valid_from": date(2024, 1, 1)}
    table = pa.Table.from_pylist([{**exact, "valid_to": EXPECTED["valid_to"]}])
    pq.write_table(table, tmp_path / "f.parquet")
    yield tmp_path / "f.parquet"


def test_every_format_says_the_same(tmp_path: Path) -> None:
    found: dict[str, Any] = {}
    for path in formats(tmp_path):
        loadable = rows.catalogue(path, Settings())
        assert loadable.is_history
        found[path.name] = loadable.rows.to_pylist()
    assert found == {name: [EXPECTED] for name in found}
    assert len(found) == 7


def test_a_float_is_no_price(tmp_path: Path) -> None:
    pq.write_table(
        pa.table({"product_id": ["p1"], "category": ["a"], "brand": ["b"], "list_price": [1.1]}), tmp_path / "x.pq"
    )
    with pytest.raises(DimensionInvalid, match="float, which is not exact"):
        rows.catalogue(tmp_path / "x.pq", Settings())


def test_unknown_columns_are_named_and_ignored(settings: Settings) -> None:
    path = written(settings, "c.csv", "product_id,category,brand,list_price,url,stock\np1,a,b,1,u,2\n")
    assert rows.catalogue(path, settings).ignored == ("stock", "url")


@pytest.mark.parametrize("currency", ["JPY", "KWD", "CLF"])
def test_prices_have_the_digits_of_their_currency(settings: Settings, currency: str) -> None:
    path = written(settings, "c.csv", HEADER + f"p1,a,b,12,{currency.lower()}\n")
    (row,) = rows.catalogue(path, settings).rows.to_pylist()
    digits = {"JPY": 0, "KWD": 3, "CLF": 4}[currency]
    assert (row["currency"], row["list_price_minor"]) == (currency, 12 * 10**digits)


@pytest.mark.parametrize(
    ("text", "fraction"),
    [("1.0832", (10832, 10**4)), ("0.00003950", (395, 10**7)), ("1", (1, 1)), ("007.50", (75, 10)), ("1e0", None)],
)
def test_rates_are_exact_fractions(settings: Settings, text: str, fraction: tuple[int, int] | None) -> None:
    path = written(settings, "r.csv", f"day,currency,rate\n2024-05-01,EUR,{text}\n")
    if fraction is None:
        with pytest.raises(TidemarkError):
            rows.exchange_rates(path, settings)
        return
    (row,) = rows.exchange_rates(path, settings).rows.to_pylist()
    assert (row["rate_numerator"], row["rate_denominator"]) == fraction
