"""Time zones and their countries, from the locked `tzdata` package, not from the machine's own tables."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from zoneinfo import ZoneInfo

# Twice a month: no rule of the time zone database is shorter.
_PROBES = [datetime(y, m, d, 12, tzinfo=UTC) for y in range(2010, 2038) for m in range(1, 13) for d in (1, 15)]


def zone_of(timezone: str | None, country: str | None) -> ZoneInfo | None:
    """The IANA zone named, in any case; else the country's, where all its clocks show one time; else None."""
    name = _names().get(timezone.strip().lower()) if timezone and len(timezone) < 64 else None  # noqa: PLR2004 - IANA's are shorter
    if name is None:
        name = _only_zone(country) if country else None
    return _load(name) if name else None


def country_of(zone: ZoneInfo | None) -> str | None:
    """The country that zone.tab lists the zone under; None for a zone of no country, and for an old name."""
    return _countries().get(zone.key) if zone else None


def is_southern(country: str) -> bool:
    """Whether the country's first zone in zone.tab lies south of the equator."""
    return country in _southern()


@cache
def _names() -> dict[str, str]:
    with files("tzdata").joinpath("zones").open(encoding="utf-8") as lines:
        return {line.strip().lower(): line.strip() for line in lines if line.strip()}


@cache
def _rows() -> tuple[tuple[str, str, str], ...]:
    """Country, coordinates and zone, in the order of https://data.iana.org/time-zones/tzdb/zone.tab."""
    with files("tzdata").joinpath("zoneinfo", "zone.tab").open(encoding="utf-8") as lines:
        rows = [line.rstrip("\n").split("\t") for line in lines if not line.startswith("#")]
    return tuple((row[0], row[1], row[2]) for row in rows)


@cache
def _by_country() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for country, _, zone in _rows():
        found.setdefault(country, []).append(zone)
    return found


@cache
def _only_zone(country: str) -> str | None:
    """The first of the country's zones, where the others have shown the same time since 2010 (Germany has two such)."""
    zones = _by_country().get(country, [])
    clocks = (tuple(_load(zone).utcoffset(noon) for noon in _PROBES) for zone in zones)
    return zones[0] if len(set(clocks)) == 1 else None


@cache
def _countries() -> dict[str, str]:
    return {zone: country for country, _, zone in _rows()}


@cache
def _southern() -> frozenset[str]:
    first: dict[str, str] = {}
    for country, place, _ in _rows():
        first.setdefault(country, place)
    return frozenset(country for country, place in first.items() if place.startswith("-"))


@cache
def _load(name: str) -> ZoneInfo:
    with files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as data:
        return ZoneInfo.from_file(data, key=name)
