"""Sale events by day and country, from a CSV calendar: name,start,end[,country]; days inclusive, country ISO 3166."""

from __future__ import annotations

import csv
from datetime import date, timedelta
from functools import cache
from importlib.resources import files
from typing import Final

from contracts.errors import SaleCalendarInvalid

_LONGEST_DAYS: Final = 366
_COUNTRY_LETTERS: Final = 2

SaleCalendar = dict[date, list[tuple[str, str | None]]]


def parse_calendar(text: str) -> SaleCalendar:
    """The events of each day as (name, country or None for all), in the text's order.

    Raises `SaleCalendarInvalid` with the line.
    """
    rows = csv.DictReader(text.splitlines())
    if not {"name", "start", "end"} <= set(rows.fieldnames or ()):
        raise SaleCalendarInvalid(
            "the calendar has no columns name, start, end", "Begin it with name,start,end,country."
        )
    calendar: SaleCalendar = {}
    for row in rows:
        name, start, days, country = _row(row, rows.line_num)
        for day in range(days):
            calendar.setdefault(start + timedelta(day), []).append((name, country))
    return calendar


def sale_on(calendar: SaleCalendar, day: date, country: str | None) -> str | None:
    """The first event of the day that is everywhere or in this country."""
    return next((name for name, where in calendar.get(day, ()) if where is None or where == country), None)


@cache
def default_calendar() -> SaleCalendar:
    """The calendar shipped with the code: well-known sale events of 2019 to 2030."""
    with files(__package__ or "").joinpath("sale_events.csv").open(encoding="utf-8") as text:
        return parse_calendar(text.read())


def _row(row: dict[str, str], line: int) -> tuple[str, date, int, str | None]:
    name, country = (row.get("name") or "").strip(), (row.get("country") or "").strip().upper() or None
    remedy = "Write dates as YYYY-MM-DD, the end not before the start, the country as two letters."
    try:
        start, end = (date.fromisoformat((row.get(column) or "").strip()) for column in ("start", "end"))
    except ValueError as error:
        raise SaleCalendarInvalid(f"line {line} of the calendar: {error}", remedy) from error
    days = (end - start).days + 1
    if not name or not 1 <= days <= _LONGEST_DAYS or (country and len(country) != _COUNTRY_LETTERS):
        raise SaleCalendarInvalid(f"line {line} of the calendar: no name, or not a possible span or country", remedy)
    return name, start, days, country
