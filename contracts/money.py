"""Money is a 64-bit integer in minor units of an ISO 4217 currency. Never a float."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

# ISO 4217 (2024): every active currency whose minor unit is not 2 digits.
MINOR_DIGITS: dict[str, int] = {
    **dict.fromkeys(
        ["BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV"]  # noqa: RUF005
        + ["XAF", "XOF", "XPF"],
        0,
    ),
    **dict.fromkeys(["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"], 3),
    **dict.fromkeys(["CLF", "UYW"], 4),
}
DEFAULT_MINOR_DIGITS = 2
# Of one amount, or one line's price times quantity. A million such in one minute still sum up in 64 bits.
LARGEST_MINOR = 9_000_000_000_000


def minor_digits(currency: str) -> int:
    """Digits after the point of one major unit of `currency`."""
    return MINOR_DIGITS.get(currency, DEFAULT_MINOR_DIGITS)


def parse_minor(text: str, currency: str) -> int | None:
    """Minor units of the decimal `text`; None where it has more digits than the currency, or is no number."""
    try:
        scaled = Decimal(text).scaleb(minor_digits(currency))
    except InvalidOperation:
        return None
    if not scaled.is_finite() or scaled != scaled.to_integral_value() or abs(scaled) > LARGEST_MINOR:
        return None
    return int(scaled)


def format_minor(minor: int, currency: str) -> str:
    """The amount in major units as decimal text, for people: `5944263, USD` -> `59442.63`."""
    digits = minor_digits(currency)
    return str(Decimal(minor).scaleb(-digits)) if digits else str(minor)
