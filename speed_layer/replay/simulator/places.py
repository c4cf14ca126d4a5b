"""Where visitors are: countries, their languages and money, and address blocks reserved for tests.

Addresses come from blocks that no real network uses: 198.18.0.0/15 (RFC 2544) and 2001:db8::/32 (RFC 3849) for
people, one /20 and one /48 a country; 192.0.2.0/24 for declared bots and 203.0.113.0/24 for data centres (RFC 5737).
"""

from __future__ import annotations

from bisect import bisect
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from random import Random
from typing import Final

from speed_layer.replay.simulator.clock import DAY_MS, HOUR_MS, intensity

_IPV6_SHARE: Final = 0.25
_BLOCK_SIZE: Final = 4096
_WEEK_MS: Final = 7 * DAY_MS


@dataclass(frozen=True, slots=True)
class Country:
    """A country: `weight` is its share of visitors, `block` the number of its address blocks."""

    code: str
    weight: float
    locale: str
    timezone: str
    utc_offset_hours: int
    currency: str
    block: int


COUNTRIES: Final = tuple(
    Country(code, weight, locale, timezone, offset, currency, block)
    for block, (code, weight, locale, timezone, offset, currency) in enumerate(
        [
            ("US", 0.34, "en-US", "America/New_York", -5, "USD"),
            ("DE", 0.20, "de-DE", "Europe/Berlin", 1, "EUR"),
            ("FR", 0.10, "fr-FR", "Europe/Paris", 1, "EUR"),
            ("ES", 0.07, "es-ES", "Europe/Madrid", 1, "EUR"),
            ("NL", 0.06, "nl-NL", "Europe/Amsterdam", 1, "EUR"),
            ("IT", 0.06, "it-IT", "Europe/Rome", 1, "EUR"),
            ("CA", 0.05, "en-CA", "America/Toronto", -5, "USD"),
            ("IE", 0.04, "en-IE", "Europe/Dublin", 0, "EUR"),
            ("BR", 0.04, "pt-BR", "America/Sao_Paulo", -3, "USD"),
            ("AU", 0.04, "en-AU", "Australia/Sydney", 10, "USD"),
        ]
    )
)


def networks(country: Country) -> tuple[str, str]:
    """The IPv4 and the IPv6 block of a country, in CIDR notation: the truth for a geo lookup."""
    third = country.block * _BLOCK_SIZE >> 8
    return f"198.18.{third}.0/20", f"2001:db8:{country.block:x}::/48"


def home_ip(rng: Random, country: Country) -> str:
    """An address from one of the country's blocks."""
    if rng.random() < _IPV6_SHARE:
        host = rng.getrandbits(64)
        groups = ":".join(f"{host >> shift & 0xFFFF:x}" for shift in (48, 32, 16, 0))
        return f"2001:db8:{country.block:x}:1:{groups}"
    host = country.block * _BLOCK_SIZE + rng.randrange(1, _BLOCK_SIZE - 1)
    return f"198.18.{host >> 8}.{host & 0xFF}"


def bot_ip(rng: Random, *, is_declared: bool) -> str:
    """An address of a crawler's network, or of a data centre."""
    return f"{'192.0.2' if is_declared else '203.0.113'}.{rng.randrange(1, 255)}"


def busy(ms: int) -> float:
    """How busy the shop is at that moment over all countries."""
    return _weights(ms // HOUR_MS * HOUR_MS % _WEEK_MS)[-1]


def country_at(rng: Random, ms: int) -> Country:
    """The country of someone who comes at that moment: where it is night, few come from."""
    cumulative = _weights(ms // HOUR_MS * HOUR_MS % _WEEK_MS)
    return COUNTRIES[bisect(cumulative, rng.random() * cumulative[-1], hi=len(COUNTRIES) - 1)]


@lru_cache(maxsize=7 * 24)
def _weights(hour_of_week_ms: int) -> list[float]:
    return list(accumulate(c.weight * intensity(hour_of_week_ms, c.utc_offset_hours) for c in COUNTRIES))
