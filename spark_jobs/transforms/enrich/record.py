"""All that one record says by itself about device, robot, channel, place and local time, in that order."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Final, NamedTuple

from contracts.pins import pinned
from spark_jobs.transforms.enrich.bots import bot_indicators
from spark_jobs.transforms.enrich.channel import Campaign, Touch, touch_of
from spark_jobs.transforms.enrich.device import MOST_AGENTS, device_of
from spark_jobs.transforms.enrich.geo import Geo
from spark_jobs.transforms.enrich.local_time import LocalTime, local_time
from spark_jobs.transforms.enrich.sales import SaleCalendar, default_calendar, parse_calendar

_MOST_TOUCHES: Final = 20_000
_MOST_HOURS: Final = 20_000
_QUARTER_HOUR: Final = 900_000_000
# 1973: from here on every zone's offset is a multiple of a quarter of an hour (Liberia's was the last that was none).
_REGULAR_SINCE: Final = 94_694_400_000_000


class Said(NamedTuple):
    """What enrichment reads of a record, as the sender or the entrance wrote it.

    `is_app`: the sender is an app by its own word, so the HTTP library in its `user_agent` is no robot. `event_time` is
    microseconds since 1970 UTC. `url` may be a bare path with a query.
    """

    user_agent: str | None
    is_app: bool
    referrer: str | None
    url: str | None
    campaign: Campaign | None
    ip: str | None
    timezone: str | None
    event_time: int


class Enriched(NamedTuple):
    """The columns of `fields.EVENT` of the same names, in its order."""

    device_class: str | None
    os: str | None
    browser: str | None
    is_declared_bot: bool
    bot_indicators: list[str]
    source: str | None
    medium: str | None
    campaign: str | None
    channel: str | None
    click_id: str | None
    landing: str | None
    country: str | None
    local_hour: int | None
    local_weekday: int | None
    is_weekend: bool | None
    season: str | None
    holiday: str | None
    sale_event: str | None


NOT_ENRICHED: Final = Enriched(
    **dict.fromkeys(Enriched._fields) | {"is_declared_bot": False, "bot_indicators": []}  # type: ignore[arg-type]
)


class Reference:
    """The reference data that rules name by content: geography and sale calendar. See `pinned`."""

    def __init__(self, geo: Geo, calendar: SaleCalendar) -> None:
        self.geo, self._calendar = geo, calendar
        self._quarter = lru_cache(_MOST_HOURS)(self._of_quarter)

    def local_time(self, event_time: int, timezone: str | None, country: str | None) -> LocalTime:
        """As `local_time.local_time`; remembered by quarters of an hour."""
        if event_time < _REGULAR_SINCE:
            return local_time(event_time, timezone, country, self._calendar)
        return self._quarter(event_time // _QUARTER_HOUR, timezone, country)

    def _of_quarter(self, number: int, timezone: str | None, country: str | None) -> LocalTime:
        return local_time(number * _QUARTER_HOUR, timezone, country, self._calendar)


def reference_of(rules: Mapping[str, str]) -> Reference:
    """The reference data of these rules (`Settings.rules`), opened once a process.

    Raises `GeoDatabaseInvalid`, `SaleCalendarInvalid` or `ReferenceChanged` where a file cannot be used, or is no
    longer the one that the rules were made with.
    """
    return _reference(rules.get("geo_database", ""), rules.get("sale_calendar", ""))


@cache
def _reference(geo_pin: str, calendar_pin: str) -> Reference:
    geo, calendar = pinned(geo_pin), pinned(calendar_pin)
    return Reference(
        Geo(geo[0] if geo else None),
        parse_calendar(calendar[1].decode("utf-8", "replace")) if calendar else default_calendar(),
    )


def enrich(said: Said, reference: Reference) -> Enriched:
    """What the record says by itself. Raises `GeoDatabaseInvalid` where the database is damaged inside.

    An internal hit, and one that names no page and no campaign, has no source, medium, campaign and channel.
    """
    device_class, system, browser, indicators = _agent(said.user_agent, is_app=said.is_app)
    touch = _touch(said.referrer, said.url, said.campaign)
    country = reference.geo.place_of(said.ip).country
    at = reference.local_time(said.event_time, said.timezone, country)
    return Enriched(
        device_class,
        system,
        browser,
        bool(indicators),
        [*indicators],
        touch.source,
        touch.medium,
        touch.campaign,
        touch.channel,
        touch.click_id,
        touch.landing,
        country,
        *at,
    )


@lru_cache(MOST_AGENTS)
def _agent(user_agent: str | None, *, is_app: bool) -> tuple[str | None, str | None, str | None, tuple[str, ...]]:
    device = device_of(user_agent)
    return device.device_class, device.os, device.browser, tuple(bot_indicators(user_agent, is_app=is_app))


@lru_cache(_MOST_TOUCHES)
def _touch(referrer: str | None, url: str | None, campaign: Campaign | None) -> Touch:
    return touch_of(referrer, url, campaign)
