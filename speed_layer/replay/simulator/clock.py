"""Simulated time, in whole milliseconds since 1970 UTC, and when in a day and week people shop."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from random import Random
from typing import Final

SECOND_MS: Final = 1_000
MINUTE_MS: Final = 60 * SECOND_MS
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# Weight of each local hour: a quiet night, a lunch bump, a peak in the evening.
_HOURS: Final = (3, 2, 1, 1, 1, 2, 4, 7, 9, 10, 10, 11, 12, 12, 11, 10, 10, 11, 13, 15, 17, 16, 12, 7)
# Monday to Sunday.
_WEEKDAYS: Final = (1.0, 0.95, 0.95, 1.0, 1.05, 1.2, 1.3)
PEAK: Final = max(_HOURS) * max(_WEEKDAYS)
_EPOCH_WEEKDAY: Final = 3


def to_ms(at: datetime) -> int:
    """Milliseconds since 1970 UTC of an aware datetime."""
    return (at - _EPOCH) // timedelta(milliseconds=1)


def from_ms(ms: int) -> datetime:
    """The UTC datetime `ms` milliseconds after 1970."""
    return _EPOCH + timedelta(milliseconds=ms)


def iso_text(ms: int) -> str:
    """ISO 8601 with milliseconds and Z, as JavaScript's `toISOString` writes it."""
    day, rest = divmod(ms, DAY_MS)
    second, milli = divmod(rest, SECOND_MS)
    minute, second = divmod(second, 60)
    return f"{_date_text(day)}T{minute // 60:02d}:{minute % 60:02d}:{second:02d}.{milli:03d}Z"


def intensity(ms: int, utc_offset_hours: int) -> float:
    """How busy a shop is at that moment in that offset's local time, between 0 and `PEAK`."""
    day, rest = divmod(ms + utc_offset_hours * HOUR_MS, DAY_MS)
    return _HOURS[rest // HOUR_MS] * _WEEKDAYS[(day + _EPOCH_WEEKDAY) % 7]


def spread(rng: Random, count: int, hours: list[float], start_ms: int) -> Iterator[int]:
    """`count` ascending moments over consecutive hours from `start_ms`, in proportion to the hours' weights."""
    total = sum(hours)
    reached = done = 0.0
    for index, weight in enumerate(hours):
        reached += weight
        due = round(count * reached / total)
        hour_ms = start_ms + index * HOUR_MS
        yield from sorted(hour_ms + int(rng.random() * HOUR_MS) for _ in range(due - int(done)))
        done = due


@lru_cache(maxsize=64)
def _date_text(day: int) -> str:
    return (_EPOCH + timedelta(days=day)).date().isoformat()
