"""From a file's texts to a dimension's rows. What is wrong with a value is found here, before a write."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from contracts.dimensions import (
    CAMPAIGN_COSTS,
    CURRENCIES,
    EXCHANGE_RATES,
    LARGEST_RATE,
    MOST_RATE_DIGITS,
    PRODUCTS,
    Dimension,
)
from contracts.errors import DimensionInvalid
from contracts.reasons import Reason
from contracts.settings import Settings
from infra.dimensions.files import Given, Texts, read
from spark_jobs.transforms import leaves

VALIDITY: Final = ("valid_from", "valid_to")
_CHUNK: Final = 50_000
_SHOWN: Final = 5
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_RATE: Final = re.compile(r"[0-9]+(\.[0-9]+)?")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

Row = dict[str, Any]


class _Fault(Exception):
    """What is wrong with one value."""


@dataclass(frozen=True, slots=True)
class Loadable:
    """A file's rows as the dimension has them. `is_history`: a catalogue whose rows say when they hold."""

    rows: pa.Table
    ignored: tuple[str, ...]
    is_history: bool = False


def catalogue(path: Path, settings: Settings) -> Loadable:
    """A catalogue: product_id, category, brand, list_price; name, currency, valid_from and valid_to where given."""
    required = ("product_id", "category", "brand", "list_price")
    given = _opened(path, required, ("name", "currency", *VALIDITY))
    is_history = bool(given.columns & set(VALIDITY))
    _check_columns(given, (*required, "valid_from") if is_history else required)

    def product(texts: Texts) -> Row:
        currency = _currency(texts, "currency", settings.currency_default)
        row = {
            "product_id": _needed(texts, "product_id"),
            **{name: texts.get(name) or None for name in ("category", "brand", "name")},
            "list_price_minor": _price(texts, currency),
            "currency": currency,
        }
        if is_history:
            row |= _validity(texts)
        return row

    return _loadable(given, PRODUCTS, product, (*required, "name", "currency", *VALIDITY), is_history=is_history)


def campaign_costs(path: Path, settings: Settings) -> Loadable:
    """Costs: day, channel, campaign, amount; currency where given."""
    required = ("day", "channel", "campaign", "amount")
    given = _opened(path, required, ("currency",))
    _check_columns(given, required)

    def cost(texts: Texts) -> Row:
        currency = _currency(texts, "currency", settings.currency_default)
        return {
            "day": _day(texts),
            "channel": _needed(texts, "channel"),
            "campaign": texts.get("campaign") or None,
            "currency": currency,
            "amount_minor": _amount("amount", _needed(texts, "amount"), currency),
        }

    return _loadable(given, CAMPAIGN_COSTS, cost, (*required, "currency"))


def exchange_rates(path: Path, settings: Settings) -> Loadable:
    """Rates: day, currency, rate (units of the reporting currency for one of it); reporting_currency where given."""
    required = ("day", "currency", "rate")
    given = _opened(path, required, ("reporting_currency",))
    _check_columns(given, required)

    def exchange_rate(texts: Texts) -> Row:
        currency = _currency(texts, "currency", "")
        into = _currency(texts, "reporting_currency", settings.reporting_currency)
        numerator, denominator = _rate(_needed(texts, "rate"))
        if currency == into and numerator != denominator:
            raise _Fault(f"the rate of {currency} to itself is not 1")
        named = {"day": _day(texts), "currency": currency, "reporting_currency": into}
        return {**named, "rate_numerator": numerator, "rate_denominator": denominator}

    return _loadable(given, EXCHANGE_RATES, exchange_rate, (*required, "reporting_currency"))


def moment(text: str) -> datetime:
    """An ISO 8601 time or date; UTC where it names no zone. Raises `ValueError`."""
    text = text.strip()
    micros = leaves.instant(f"{text}T00:00:00" if _DATE.fullmatch(text) else text.replace(" ", "T", 1))
    if micros is None:
        raise ValueError(text)
    return _EPOCH + timedelta(microseconds=micros)


def _opened(path: Path, required: tuple[str, ...], optional: tuple[str, ...]) -> Given:
    return read(path, frozenset((*required, *optional)))


def _check_columns(given: Given, required: tuple[str, ...]) -> None:
    missing = [name for name in required if name not in given.columns]
    if missing:
        there = ", ".join(sorted(given.columns)) or "none"
        raise DimensionInvalid(
            f"{given.name} lacks the column {', '.join(missing)}; it has {there}",
            f"Give it the columns {', '.join(required)}; nothing was loaded.",
        )


def _loadable(
    given: Given,
    dimension: Dimension,
    convert: Callable[[Texts], Row],
    known: tuple[str, ...],
    *,
    is_history: bool = False,
) -> Loadable:
    rows = _converted(given, convert)
    chunks: list[pa.Table] = []
    while chunk := list(islice(rows, _CHUNK)):
        try:
            chunks.append(pa.Table.from_pylist(chunk, dimension.schema))
        except (UnicodeEncodeError, pa.ArrowException) as error:
            raise DimensionInvalid(f"{given.name} holds what is no text: {error}", "Save it as UTF-8.") from error
    if not chunks:
        raise DimensionInvalid(f"{given.name} holds no rows", "Nothing was loaded; check how the file was made.")
    ignored = tuple(sorted(given.columns - set(known)))
    return Loadable(pa.concat_tables(chunks), ignored, is_history)


def _converted(given: Given, convert: Callable[[Texts], Row]) -> Iterator[Row]:
    """The rows. Raises `DimensionInvalid` with the first few faults, once all rows were looked at."""
    faults: list[str] = []
    count = 0
    for place, texts in given.rows:
        try:
            yield convert(texts)
        except _Fault as fault:
            count += 1
            faults += [f"{place}: {fault}"] * (count <= _SHOWN)
    if count:
        more = f"; and {count - _SHOWN:,} more" if count > _SHOWN else ""
        raise DimensionInvalid("; ".join(faults) + more, "Correct the file and load it again; nothing was loaded.")


def _needed(texts: Texts, name: str) -> str:
    value = texts.get(name)
    if not value or not value.strip():
        raise _Fault(f"{name} is empty")
    return value


def _currency(texts: Texts, name: str, default: str) -> str:
    code = (texts.get(name) or "").strip().upper() or default
    if code not in CURRENCIES:
        raise _Fault(f"{code!r} is no ISO 4217 currency" if code else f"{name} is empty")
    return code


def _price(texts: Texts, currency: str) -> int | None:
    text = texts.get("list_price")
    price = _amount("list_price", text, currency) if text and text.strip() else None
    if price is not None and price < 0:
        raise _Fault(f"list_price {text!r} is negative")
    return price


def _amount(name: str, text: str, currency: str) -> int:
    found = leaves.amount(text, currency, "reject")
    if found is Reason.EXCESS_DIGITS:
        raise _Fault(f"{name} {text!r} has more digits than {currency} has")
    if not isinstance(found, int):
        raise _Fault(f"{name} {text!r} is no amount: write digits and a decimal point, as 1299.50")
    return found


def _validity(texts: Texts) -> Row:
    begins = _moment("valid_from", _needed(texts, "valid_from"))
    ends = texts.get("valid_to")
    until = _moment("valid_to", ends) if ends and ends.strip() else None
    if until is not None and until <= begins:
        raise _Fault(f"valid_to {ends} is not after valid_from {texts['valid_from']}")
    return {"valid_from": begins, "valid_to": until}


def _moment(name: str, text: str) -> datetime:
    try:
        return moment(text)
    except ValueError as error:
        raise _Fault(f"{name} {text!r} is no ISO 8601 time") from error


def _day(texts: Mapping[str, str | None]) -> date:
    text = _needed(texts, "day").strip()
    try:
        if _DATE.fullmatch(text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise _Fault(f"day {text!r} is no date: write 2024-05-31")


def _rate(text: str) -> tuple[int, int]:
    """The rate as a fraction whose denominator is a power of ten."""
    whole, _, fraction = text.strip().partition(".")
    fraction = fraction.rstrip("0")
    if _RATE.fullmatch(text.strip()) is None or len(fraction) > MOST_RATE_DIGITS or len(whole) > MOST_RATE_DIGITS:
        raise _Fault(f"rate {text!r} is no rate: a decimal with at most {MOST_RATE_DIGITS} digits after the point")
    numerator = int(whole + fraction)
    if not 0 < numerator <= LARGEST_RATE:
        raise _Fault(f"rate {text!r} is zero, or has too many digits")
    return numerator, 10 ** len(fraction)
