"""Reading JSON that a stranger wrote: leaves keep their JSON type, and numbers the text they were written in."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any

import msgspec

from contracts.money import LARGEST_MINOR, minor_digits
from contracts.reasons import Reason

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_ISO_8601 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-](0[0-9]|1[0-7]):?[0-5][0-9]|[+-]18:?00)?",
)
_DECIMAL = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_INTEGER = re.compile(r"-?[0-9]+")
_MOST_UNITS = 1_000_000_000
_MOST_DIGITS = 38
# An event is at most 32 KB of text; so no decimal in it has more digits than this.
_EXACT = Context(prec=40_000)


class NumberText(str):
    """A JSON number that is no integer, as the text it was written in: money is never a float."""

    __slots__ = ()


_decoder = msgspec.json.Decoder(float_hook=NumberText)


def decode(value: bytes) -> Any:
    """The JSON value. Raises `ValueError` or `RecursionError` where it is none, `UnicodeError` where it is no UTF-8."""
    return _decoder.decode(value)


def text(leaf: Any) -> str | None:
    """A string, or a number as it was written; null for all else and for an empty string."""
    kind = type(leaf)
    if kind is str:
        return leaf or None
    return str(leaf) if kind is int or kind is NumberText else None


def instant(written: str) -> int | None:
    """Microseconds since 1970 of an ISO 8601 text (no zone means UTC); None where it is none, or before 1970."""
    if _ISO_8601.fullmatch(written) is None:
        return None
    try:
        at = datetime.fromisoformat(written)
        micros = ((at if at.tzinfo else at.replace(tzinfo=UTC)) - _EPOCH) // _MICROSECOND
    except (ValueError, OverflowError):
        return None
    return micros if 0 <= micros < YEAR_10000 else None


YEAR_10000 = 253_402_300_800_000_000


def amount(leaf: Any, currency: str, excess: str) -> int | Reason | None:
    """Minor units of `currency`; the reason where the leaf is no amount; None where it is absent."""
    if leaf is None:
        return None
    kind = type(leaf)
    if kind is int:
        written = str(leaf)
    elif kind is str or kind is NumberText:
        written = leaf.strip()
        if _DECIMAL.fullmatch(written) is None:
            return Reason.BAD_MONEY
        if kind is NumberText and sum(map(str.isdigit, written)) > _MOST_DIGITS:
            return Reason.BAD_MONEY
    else:
        return Reason.BAD_MONEY
    return _minor(written, minor_digits(currency), excess)


def _minor(written: str, digits: int, excess: str) -> int | Reason:
    whole, _, fraction = written.partition(".")
    whole, fraction = _plain(whole), fraction.rstrip("0")
    if len(whole) > _MOST_DIGITS:
        return Reason.BAD_MONEY
    if len(fraction) <= digits:
        minor = int(whole + fraction.ljust(digits, "0"))
    else:
        scaled = Decimal(f"{whole}{fraction[:digits]}.{fraction[digits:]}")
        minor = int(scaled.quantize(Decimal(1), ROUND_HALF_EVEN, _EXACT))
    if abs(minor) > LARGEST_MINOR:
        return Reason.BAD_MONEY
    return minor if len(fraction) <= digits or excess == "round" else Reason.EXCESS_DIGITS


def quantity(leaf: Any) -> int | Reason | None:
    """A whole number of units; the reason where the leaf is none or out of range; None where it is absent."""
    if leaf is None:
        return None
    kind = type(leaf)
    if kind is int:
        return leaf if abs(leaf) <= _MOST_UNITS else Reason.BAD_QUANTITY
    if kind is not str and kind is not NumberText:
        return Reason.BAD_QUANTITY
    whole, _, fraction = leaf.partition(".") if kind is NumberText else (leaf, "", "")
    if fraction.strip("0") or _INTEGER.fullmatch(whole) is None or len(_plain(whole)) > _MOST_DIGITS:
        return Reason.BAD_QUANTITY
    units = int(_plain(whole))
    return units if abs(units) <= _MOST_UNITS else Reason.BAD_QUANTITY


def _plain(integer: str) -> str:
    """Without leading zeros: Python refuses to read integers of over 4,300 digits, zeros included."""
    sign = "-" if integer.startswith("-") else ""
    return sign + (integer.removeprefix("-").lstrip("0") or "0")
