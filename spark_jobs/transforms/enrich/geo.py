"""Place of an address, by any database in MaxMind's format (https://maxmind.github.io/MaxMind-DB/)."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final, NamedTuple

import maxminddb

from contracts.addresses import address_of
from contracts.errors import GeoDatabaseInvalid

_COUNTRY_LETTERS: Final = 2
_MOST_ADDRESSES: Final = 20_000
_REMEDY: Final = "Give the path of an intact .mmdb file, or none."


class Place(NamedTuple):
    """`country` is ISO 3166-1 alpha-2, `region` the database's own code or name, `city` its English name."""

    country: str | None
    region: str | None
    city: str | None


NOWHERE: Final = Place(None, None, None)


class Geo:
    """A reader of one database; of none (`path` None or no such file), where every place is `NOWHERE`."""

    def __init__(self, path: str | None) -> None:
        """Raises `GeoDatabaseInvalid` where the file is there and cannot be used."""
        self._path = path
        self._reader = _open(path) if path else None
        self._holds_ipv6 = self._reader is not None and self._reader.metadata().ip_version != 4  # noqa: PLR2004 - IPv4
        self._remembered = lru_cache(_MOST_ADDRESSES)(self._look_up)

    @property
    def is_present(self) -> bool:
        """Whether there is a database."""
        return self._reader is not None

    def place_of(self, ip: str | None) -> Place:
        """Where the address is, as far as the database says. Raises `GeoDatabaseInvalid` where it is damaged inside."""
        return NOWHERE if ip is None or self._reader is None else self._remembered(ip)

    def _look_up(self, ip: str) -> Place:
        address = address_of(ip)
        if address is None or self._reader is None:
            return NOWHERE
        if address.version == 6 and not self._holds_ipv6:  # noqa: PLR2004 - IPv6
            return NOWHERE
        try:
            record = self._reader.get(address)
        except (maxminddb.InvalidDatabaseError, ValueError, RecursionError) as error:
            raise GeoDatabaseInvalid(f"{self._path} is damaged: {error}", _REMEDY) from error
        return _place(record) if isinstance(record, dict) else NOWHERE

    def close(self) -> None:
        """Let go of the file."""
        if self._reader is not None:
            self._reader.close()


def _open(path: str) -> maxminddb.Reader | None:
    try:
        return maxminddb.open_database(path)
    except FileNotFoundError:
        return None
    except (maxminddb.InvalidDatabaseError, OSError, ValueError, UnicodeError) as error:
        raise GeoDatabaseInvalid(f"{path} is no readable MaxMind DB: {error}", _REMEDY) from error


def _place(record: dict[str, Any]) -> Place:
    """Both shapes in use: nested as GeoIP2 has it, and flat (`country_code`, `state1`, `city`)."""
    country = _field(record.get("country"), "iso_code") or record.get("country_code")
    divisions = record.get("subdivisions")
    first = divisions[0] if isinstance(divisions, list) and divisions else None
    region = _field(first, "iso_code") or record.get("state1") or record.get("region")
    city = record.get("city")
    if isinstance(city, dict):
        city = _field(city.get("names"), "en")
    is_country = isinstance(country, str) and len(country) == _COUNTRY_LETTERS
    return Place(str(country).upper() if is_country else None, _text(region), _text(city))


def _field(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else value


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
