"""The visitor's own hour and day of an event, and what that day is where the visitor lives."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final, NamedTuple

import holidays

from spark_jobs.transforms.enrich.sales import SaleCalendar, default_calendar, sale_on
from spark_jobs.transforms.enrich.zones import country_of, is_southern, zone_of

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SEASONS: Final = ("winter", "spring", "summer", "autumn")
_SATURDAY_SUNDAY: Final = frozenset({5, 6})
_COUNTRIES: Final = frozenset(holidays.list_supported_countries(include_aliases=False))


class LocalTime(NamedTuple):
    """`hour` 0-23, `weekday` 1 (Monday) to 7 by ISO 8601, `season` meteorological; None where not known."""

    hour: int | None
    weekday: int | None
    is_weekend: bool | None
    season: str | None
    holiday: str | None
    sale_event: str | None


NEVER: Final = LocalTime(None, None, None, None, None, None)


def local_time(
    event_time: int,
    timezone: str | None,
    country: str | None,
    calendar: SaleCalendar | None = None,
) -> LocalTime:
    """The local view of `event_time` (microseconds since 1970 UTC). Raises nothing for any zone, country or time.

    Without a zone, hour, weekday and weekend are None, and the UTC day stands for the local one in the rest. Without a
    country, the one the zone belongs to decides on weekends, season and holidays.
    """
    zone = zone_of(timezone, country)
    country = country or country_of(zone)
    try:
        at = _EPOCH + timedelta(microseconds=event_time)
        local = zone.fromutc(at.replace(tzinfo=zone)) if zone else None
    except (OverflowError, ValueError):
        return NEVER
    day = (local or at).date()
    holiday, weekend = _days(country, day.year) if country else ({}, _SATURDAY_SUNDAY)
    sale = sale_on(default_calendar() if calendar is None else calendar, day, country)
    season = _season(day, country) if country else None
    if local is None:
        return LocalTime(None, None, None, season, holiday.get(day), sale)
    return LocalTime(local.hour, local.isoweekday(), day.weekday() in weekend, season, holiday.get(day), sale)


def _season(day: date, country: str) -> str:
    return _SEASONS[(day.month % 12 // 3 + (2 if is_southern(country) else 0)) % 4]


@lru_cache(4_096)
def _days(country: str, year: int) -> tuple[dict[date, str], frozenset[int]]:
    """Public holidays by day, in English where the library has it, and the weekend's weekdays (Monday = 0)."""
    if country not in _COUNTRIES:
        return {}, _SATURDAY_SUNDAY
    known = getattr(holidays, country)
    # Without a language, the library takes the machine's.
    english = next((code for code in ("en_US", "en_GB") if code in known.supported_languages), known.default_language)
    try:
        found = known(years=year, language=english)
    except (ValueError, OverflowError, KeyError, IndexError):
        return {}, _SATURDAY_SUNDAY
    return dict(found.items()), frozenset(found.weekend)
