"""Local hours, weekends, seasons, holidays and sale events."""

from __future__ import annotations

import calendar
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import SaleCalendarInvalid
from spark_jobs.transforms.enrich.local_time import NEVER, _days, local_time
from spark_jobs.transforms.enrich.sales import default_calendar, parse_calendar, sale_on


def at(written: str) -> int:
    return int(datetime.fromisoformat(written).replace(tzinfo=UTC).timestamp()) * 1_000_000


@pytest.mark.parametrize(
    ("utc", "timezone", "country", "expected"),
    [
        ("2026-12-25T23:30", "Europe/Berlin", "DE", (0, 6, True, "winter", "Second Day of Christmas", None)),
        ("2026-12-24T23:30", None, "FR", (0, 5, False, "winter", "Christmas Day", None)),
        # Germany has a second zone, Busingen, of the same time; Spain's islands are an hour behind.
        ("2026-12-25T11:30", None, "DE", (12, 5, False, "winter", "Christmas Day", None)),
        ("2026-12-25T11:30", None, "ES", (None, None, None, "winter", "Christmas Day", None)),
        ("2026-12-25T23:30", None, None, (None,) * 6),
        ("2026-01-26T03:00", "australia/sydney", None, (14, 1, False, "summer", "Australia Day", None)),
        ("2026-01-26T03:00", None, "AU", (None, None, None, "summer", "Australia Day", None)),
        ("2026-07-03T09:00", None, "SA", (12, 5, True, "summer", None, None)),
        ("2026-07-05T09:00", None, "SA", (12, 7, False, "summer", None, None)),
        ("2026-07-05T09:00", "Mars/Olympus", "JP", (18, 7, True, "summer", None, None)),
        ("2026-11-27T12:00", "Asia/Kolkata", None, (17, 5, False, "autumn", None, "Black Friday")),
        ("2026-03-29T00:59", "Europe/Paris", "FR", (1, 7, True, "spring", None, None)),
        ("2026-03-29T01:00", "Europe/Paris", "FR", (3, 7, True, "spring", None, None)),
        ("2026-07-04T03:30", "America/New_York", "US", (23, 5, False, "summer", "Independence Day (observed)", None)),
        ("2026-12-26T12:00", "Europe/London", "GB", (12, 6, True, "winter", "Boxing Day", "Boxing Day Sale")),
        ("2026-06-18T12:00", "Europe/London", "GB", (13, 4, False, "summer", None, None)),
        ("2026-06-15T12:00", "UTC", None, (12, 1, False, None, None, None)),
    ],
)
def test_local_time(utc: str, timezone: str | None, country: str | None, expected: tuple[object, ...]) -> None:
    found = local_time(at(utc), timezone, country)
    assert found == expected


def test_the_machines_language_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    names = []
    for language in ("de_DE.UTF-8", "th_TH.UTF-8", "C"):
        for variable in ("LANG", "LANGUAGE", "LC_ALL", "LC_MESSAGES"):
            monkeypatch.setenv(variable, language)
        _days.cache_clear()
        names.append(local_time(at("2026-10-03T12:00"), "Europe/Berlin", "DE").holiday)
    assert names == ["German Unity Day"] * 3


def test_the_default_calendar_is_what_its_names_mean() -> None:
    for year in range(2019, 2031):
        thursdays = [week[calendar.THURSDAY] for week in calendar.monthcalendar(year, 11) if week[calendar.THURSDAY]]
        thanksgiving = date(year, 11, thursdays[3])
        assert sale_on(default_calendar(), thanksgiving, None) is None
        assert sale_on(default_calendar(), thanksgiving + timedelta(1), "US") == "Black Friday"
        assert sale_on(default_calendar(), thanksgiving + timedelta(4), None) == "Cyber Monday"
        assert sale_on(default_calendar(), date(year, 11, 11), "CN") == "Singles' Day"
        assert sale_on(default_calendar(), date(year, 12, 12), "DE") is None
    assert {day.year for day in default_calendar()} == set(range(2019, 2031))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name,start\nx,2026-01-01",
        "name,start,end\nx,2026-01-01,2025-01-01",
        "name,start,end\nx,2026-01-32,2026-02-01",
        "name,start,end\n,2026-01-01,2026-01-01",
        "name,start,end\nx,2000-01-01,2026-01-01",
        "name,start,end,country\nx,2026-01-01,2026-01-01,Germany",
    ],
)
def test_a_bad_calendar_is_refused(text: str) -> None:
    with pytest.raises(SaleCalendarInvalid) as raised:
        parse_calendar(text)
    assert raised.value.remedy


def test_a_calendar_of_ones_own() -> None:
    own = parse_calendar("name,start,end\nOpening,2026-02-01,2026-02-02\n")
    assert local_time(at("2026-02-02T12:00"), None, None, own).sale_event == "Opening"
    assert local_time(at("2026-02-03T00:00"), None, None, own) == NEVER


@given(
    st.integers(-(10**20), 10**20),
    st.one_of(st.none(), st.text(alphabet=st.characters()), st.sampled_from(["../../etc/passwd", "Asia/Kathmandu"])),
    st.one_of(
        st.none(), st.text(alphabet=st.characters(), max_size=3), st.sampled_from(["DE", "US", "EG", "HolidayBase"])
    ),
)
def test_any_time_zone_and_country_is_read(event_time: int, timezone: str | None, country: str | None) -> None:
    found = local_time(event_time, timezone, country)
    assert found.hour is None or 0 <= found.hour <= 23
