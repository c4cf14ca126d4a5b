"""What is read of a record for enrichment, and what comes of it; files of reference data are rules by content."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from contracts.consent import Consent, consent_of
from contracts.errors import ReferenceChanged, SaleCalendarInvalid, SettingInvalid
from contracts.pins import digest_of, pin_of
from contracts.semantics import semantics_hash
from contracts.settings import Settings
from spark_jobs.transforms.clocks import clocks_of
from spark_jobs.transforms.enrich.record import Enriched, reference_of
from spark_jobs.transforms.parse import Event, parse
from tests.unit.json_texts import record
from tests.worlds import GEO

IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 "
    "Mobile/15E148 Safari/604.1"
)
ROBOT = "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)"
SERVER = {"library": {"name": "analytics-python", "version": "2.3"}}
APP = {"app": {"name": "Shop"}, "library": {"name": "analytics-android"}}
RULES = Settings(geo_database=GEO).rules
DAY_MS = 86_400_000


def enriched(
    context: dict[str, Any], call: str = "track", properties: dict[str, Any] | None = None, **stamp: Any
) -> Enriched:
    message = {"event": "x", "anonymousId": "ada", "timestamp": "2024-03-01T23:30:00Z", "context": context}
    found = parse(*record(message | {"properties": properties or {}}, type=call, **stamp), RULES)
    assert isinstance(found, Event), found
    return found.enriched


@pytest.mark.parametrize(
    ("context", "header", "is_bot", "browser"),
    [
        ({}, None, False, None),
        ({}, IPHONE, False, "Mobile Safari"),
        ({"userAgent": IPHONE}, ROBOT, False, "Mobile Safari"),
        ({"userAgent": ROBOT}, IPHONE, True, "bingbot"),
        ({}, "curl/8.5.0", True, "curl"),
        # A server speaks for its visitors: its own library is not their device, and they are no robots.
        (SERVER, "analytics-python/2.3", False, None),
        (SERVER | {"userAgent": IPHONE}, "analytics-python/2.3", False, "Mobile Safari"),
        (SERVER | {"userAgent": ROBOT}, "analytics-python/2.3", True, "bingbot"),
        ({"library": {"name": "analytics.js"}}, IPHONE, False, "Mobile Safari"),
        # An app speaks through an HTTP library; alone, such a library is a robot.
        (APP, "Shop/5 (Android 14; Pixel 8) okhttp/4.12.0", False, "okhttp"),
        ({}, "okhttp/4.12.0", True, "okhttp"),
        (APP, "okhttp/4.12.0", False, "okhttp"),
        (APP, ROBOT, True, "bingbot"),
        ({"app": {"name": ""}, "library": "x"}, "okhttp/4.12.0", True, "okhttp"),
    ],
)
def test_whose_device_it_is(context: dict[str, Any], header: str | None, is_bot: bool, browser: str | None) -> None:
    found = enriched(context, userAgent=header)
    assert (found.is_declared_bot, found.browser) == (is_bot, browser)
    assert found.is_declared_bot == bool(found.bot_indicators)


@pytest.mark.parametrize(
    ("context", "stamp", "country"),
    [
        ({}, {"ip": "81.2.69.142"}, "GB"),
        ({"ip": "216.160.83.56"}, {"ip": "81.2.69.142"}, "US"),
        (SERVER, {"ip": "81.2.69.142", "userAgent": "analytics-python/2.3"}, None),
        (SERVER | {"ip": "216.160.83.56"}, {"ip": "81.2.69.142", "userAgent": "analytics-python/2.3"}, "US"),
        (APP, {"ip": "81.2.69.142", "userAgent": "okhttp/4"}, "GB"),
        ({}, {"ip": "no address"}, None),
        ({}, {"ip": "127.0.0.1"}, None),
        ({}, {}, None),
    ],
)
def test_where_the_visitor_is(context: dict[str, Any], stamp: dict[str, Any], country: str | None) -> None:
    assert enriched(context, **stamp).country == country


@pytest.mark.parametrize(
    ("call", "context", "properties", "expected"),
    [
        ("track", {}, {"url": "https://s.com/p?utm_source=x", "referrer": "https://google.com"}, (None, None)),
        ("page", {}, {"url": "https://s.com/p?utm_source=x", "referrer": "https://google.com"}, ("x", "/p")),
        ("page", {"page": {"url": "https://s.com/c"}}, {"url": "https://s.com/p"}, ("(direct)", "/p")),
        ("track", {"page": {"url": "https://s.com/c"}}, {"url": "https://s.com/p"}, ("(direct)", "/c")),
        ("track", {"page": {"path": "/a", "search": "?gclid=1"}}, {}, ("google", "/a")),
        ("track", {"page": {"path": "/a", "search": "gclid=1"}}, {}, ("google", "/a")),
        ("track", {"page": {"path": "/a", "referrer": "https://www.bing.com/"}}, {}, ("bing", "/a")),
        ("track", {"page": {"url": "https://s.com/b", "referrer": "https://www.s.com/"}}, {}, (None, "/b")),
        ("track", {"page": "x", "campaign": []}, {}, (None, None)),
        ("track", {"campaign": {"source": "Mail", "name": 7}}, {}, ("mail", None)),
    ],
)
def test_where_it_came_from(
    call: str, context: dict[str, Any], properties: dict[str, Any], expected: tuple[str | None, str | None]
) -> None:
    found = enriched(context, call, properties)
    assert (found.source, found.landing) == expected
    assert (found.channel is None) == (found.source is None)


def test_local_time_follows_the_device_then_the_country() -> None:
    berlin = enriched({"timezone": "Europe/Berlin"}, ip="216.160.83.56")
    assert (berlin.local_hour, berlin.local_weekday, berlin.is_weekend) == (0, 6, True)
    london = enriched({}, ip="81.2.69.142")
    assert (london.local_hour, london.local_weekday, london.season) == (23, 5, "spring")
    america = enriched({}, ip="216.160.83.56")
    assert (america.country, america.local_hour, america.season) == ("US", None, "spring")


def test_a_remembered_hour_is_the_hour() -> None:
    reference = reference_of(RULES)
    for at in range(0, 4 * 900_000_000, 899_999_999):
        early, late = at, 1_709_287_200_000_000 + at
        for zone in ("Africa/Monrovia", "Asia/Kathmandu", "Pacific/Apia"):
            assert reference.local_time(early, zone, None).hour == _hour(early, zone)
            assert reference.local_time(late, zone, None).hour == _hour(late, zone)


def _hour(at: int, zone: str) -> int | None:
    from spark_jobs.transforms.enrich.local_time import local_time  # noqa: PLC0415 - beside its memory

    return local_time(at, zone, None).hour


def test_clocks() -> None:
    at = 1_709_287_200_000_000
    live = {"is_own": True, "is_replay": False}
    assert clocks_of(at, None, at + 5_000_000, **live) == (None, at, 5_000, None)
    # The device's clock is an hour slow: it says it sent at noon what came at one.
    slow = clocks_of(at, at + 2_000_000, at + 3_600_000_000, **live)
    assert slow == (at + 2_000_000, at + 3_598_000_000, 2_000, None)
    assert clocks_of(at, at, at + DAY_MS * 1000, **live).clock_fault == "skewed"
    assert clocks_of(at + DAY_MS * 1000, None, at, **live).clock_fault == "ahead"
    assert clocks_of(0, None, at, **live).clock_fault == "unset"
    assert clocks_of(0, at, 0, **live).corrected_time == 0
    assert clocks_of(at, at - 7, at, is_own=False, is_replay=False) == (at - 7, at, 0, None)
    replayed = clocks_of(at, at + 9_000, at + 400 * DAY_MS * 1000, is_own=True, is_replay=True)
    assert replayed == (at + 9_000, at, 9, None)
    assert clocks_of(at, None, at + 1, is_own=True, is_replay=True).lateness_ms is None


def test_consent() -> None:
    assert consent_of({}, "grant") == Consent(analyse=True, personalise=True, train=True)
    assert consent_of({"consent": "yes"}, "deny") == Consent(analyse=False, personalise=False, train=False)
    said = {"consent": {"analyse": True, "train": False}}
    assert consent_of(said, "deny") == Consent(analyse=True, personalise=False, train=False)
    assert consent_of(said, "grant") == Consent(analyse=True, personalise=True, train=False)


def test_reference_data_are_rules_by_what_is_in_them(tmp_path: Path) -> None:
    calendar, moved = tmp_path / "sales.csv", tmp_path / "moved.csv"
    calendar.write_text("name,start,end\nOurs,2024-03-01,2024-03-02\n")
    shutil.copy(calendar, moved)
    plain, ours = Settings(), Settings(sale_calendar=str(calendar))
    assert semantics_hash(plain.rules) != semantics_hash(ours.rules)
    assert semantics_hash(ours.rules) == semantics_hash(replace(ours, sale_calendar=str(moved)).rules)
    assert semantics_hash(plain.rules) != semantics_hash(replace(plain, geo_database=GEO).rules)
    before = ours.rules
    reference = reference_of(before)
    assert reference.local_time(1_709_287_200_000_000, None, None).sale_event == "Ours"
    calendar.write_text("name,start,end\nTheirs and more,2024-03-01,2024-03-02\n")
    assert semantics_hash(ours.rules) != semantics_hash(before)


def test_a_file_that_is_not_the_pinned_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sales.csv"
    path.write_text("name,start,end\nOurs,2024-03-01,2024-03-02\n")
    rules = Settings(sale_calendar=str(path)).rules
    path.write_text("other")
    with pytest.raises(ReferenceChanged, match="is not the file"):
        reference_of(rules)
    with pytest.raises(SaleCalendarInvalid):
        reference_of(Settings(sale_calendar=str(path)).rules)
    path.unlink()
    with pytest.raises(ReferenceChanged, match="cannot be read"):
        reference_of(rules)
    with pytest.raises(SettingInvalid, match="cannot be read"):
        _ = Settings(sale_calendar=str(path)).rules


def test_the_installed_database_is_found_in_the_home_folder(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    assert settings.rules["geo_database"] == ""
    (tmp_path / "geo").mkdir()
    shutil.copy(GEO, tmp_path / "geo/country.mmdb")
    assert digest_of(settings.rules["geo_database"]) == digest_of(pin_of(GEO))
    assert reference_of(settings.rules).geo.place_of("81.2.69.142").country == "GB"
