"""Money, quantities, times and texts, as strangers write them."""

from __future__ import annotations

import contextlib
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from contracts.money import LARGEST_MINOR, minor_digits
from contracts.reasons import Reason
from spark_jobs.transforms.leaves import NumberText, amount, decode, instant, quantity, text
from tests.unit.json_texts import json_texts

BAD, EXCESS, MISCOUNT = Reason.BAD_MONEY, Reason.EXCESS_DIGITS, Reason.BAD_QUANTITY


@pytest.mark.parametrize(
    ("written", "currency", "minor"),
    [
        ("null", "USD", None),
        ("0", "USD", 0),
        ("-0", "USD", 0),
        ("12", "USD", 1200),
        ("12.5", "USD", 1250),
        ("12.50", "USD", 1250),
        ("12.500000000000000000000", "USD", 1250),
        ("-12.34", "USD", -1234),
        ("0.1", "USD", 10),
        ("0.07", "USD", 7),
        ("-0.01", "USD", -1),
        ("1.1", "JPY", EXCESS),
        ("1.0", "JPY", 1),
        ("1.234", "KWD", 1234),
        ("1.2345", "CLF", 12345),
        ("1.234", "USD", EXCESS),
        ("12345678901234567.89", "USD", BAD),
        ("12345678901.89", "USD", 1234567890189),
        ("10.000000000000000001", "USD", EXCESS),
        ("90000000000", "USD", LARGEST_MINOR),
        ("90000000000.01", "USD", BAD),
        ("-90000000000.01", "USD", BAD),
        ("9" * 300, "USD", BAD),
        ("9" * 5000 + ".0", "USD", BAD),
        ("1E2", "USD", BAD),
        ("1e-2", "USD", BAD),
        ("1.0e1", "USD", BAD),
        ("true", "USD", BAD),
        ("[1]", "USD", BAD),
        ("{}", "USD", BAD),
        ('"12.50"', "USD", 1250),
        ('" 12.50\\n"', "USD", 1250),
        ('"0012.50"', "USD", 1250),
        ('"' + "0" * 5000 + '1.5"', "USD", 150),
        ('"-' + "0" * 5000 + '1.5"', "USD", -150),
        ('"' + "9" * 5000 + '"', "USD", BAD),
        ('"0.' + "9" * 5000 + '"', "USD", EXCESS),
        ('""', "USD", BAD),
        ('"+1"', "USD", BAD),
        ('".5"', "USD", BAD),
        ('"5."', "USD", BAD),
        ('"1,000.00"', "USD", BAD),
        ('"1_000"', "USD", BAD),
        ('"1e2"', "USD", BAD),
        ('"NaN"', "USD", BAD),
        ('"Infinity"', "USD", BAD),
        ('"$5"', "USD", BAD),
        ('"\u0661\u0662"', "USD", BAD),
        ('"--1"', "USD", BAD),
    ],
)
def test_money_is_exact_or_refused(written: str, currency: str, minor: int | Reason | None) -> None:
    assert amount(decode(written.encode()), currency, "reject") is minor or (
        amount(decode(written.encode()), currency, "reject") == minor and type(minor) is int
    )


@pytest.mark.parametrize(
    ("written", "minor"),
    [
        ("1.005", 100),
        ("1.015", 102),
        ("-1.005", -100),
        ("-1.015", -102),
        ("1.0050000000000000001", 101),
        ("1.0049999999999999999", 100),
        ("10.000000000000000001", 1000),
        ("0.001", 0),
        ("-0.001", 0),
        ("12.3", 1230),
        ("90000000000.005", LARGEST_MINOR),
        ("90000000000.009", BAD),
        ("1E2", BAD),
    ],
)
def test_rounding_goes_to_the_even_neighbour(written: str, minor: int | Reason) -> None:
    assert amount(decode(written.encode()), "USD", "round") == minor
    if "E" not in written:
        assert amount(written, "USD", "round") == minor


@given(st.integers(-LARGEST_MINOR, LARGEST_MINOR), st.sampled_from(["USD", "JPY", "KWD", "CLF"]), st.integers(0, 6))
def test_money_of_few_enough_digits_comes_back_exactly(minor: int, currency: str, zeros: int) -> None:
    digits = minor_digits(currency)
    written = f"{Decimal(minor).scaleb(-digits):f}" + ("0" * zeros if digits else "")
    for leaf in (written, decode(written.encode())):
        assert amount(leaf, currency, "reject") == minor
        assert amount(leaf, currency, "round") == minor


@given(st.integers(-LARGEST_MINOR, LARGEST_MINOR), st.text("0123456789", min_size=1, max_size=30))
def test_rounding_is_decimal_s_own(minor: int, more: str) -> None:
    written = f"{Decimal(minor).scaleb(-2):.2f}{more}"
    nearest = int((Decimal(written) * 100).to_integral_value("ROUND_HALF_EVEN"))
    assert amount(written, "USD", "round") == (nearest if abs(nearest) <= LARGEST_MINOR else BAD)
    is_exact = not more.strip("0")
    assert amount(written, "USD", "reject") == (minor if is_exact else EXCESS if abs(nearest) <= LARGEST_MINOR else BAD)


@pytest.mark.parametrize(
    ("written", "units"),
    [
        ("null", None),
        ("0", 0),
        ("3", 3),
        ("-3", -3),
        ("2.0", 2),
        ("2.00000000000000000000", 2),
        ("-2.0", -2),
        ("2.5", MISCOUNT),
        ("1e3", MISCOUNT),
        ("2.0e0", MISCOUNT),
        ("1000000000", 1_000_000_000),
        ("1000000001", MISCOUNT),
        ("-1000000001", MISCOUNT),
        ("9" * 4300, MISCOUNT),
        ("9" * 5000 + ".0", MISCOUNT),
        ('"3"', 3),
        ('"-3"', -3),
        ('"007"', 7),
        ('"' + "0" * 5000 + '7"', 7),
        ('"' + "7" * 5000 + '"', MISCOUNT),
        ('" 3"', MISCOUNT),
        ('"3.0"', MISCOUNT),
        ('""', MISCOUNT),
        ('"many"', MISCOUNT),
        ('"\u0663"', MISCOUNT),
        ("true", MISCOUNT),
        ("[]", MISCOUNT),
        ("{}", MISCOUNT),
    ],
)
def test_quantities(written: str, units: int | Reason | None) -> None:
    assert quantity(decode(written.encode())) == units


@pytest.mark.parametrize(
    ("written", "micros"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:00", 0),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1970-01-01T01:00:00+0100", 0),
        ("1969-12-31T23:30:00-00:30", 0),
        ("1970-01-01T00:00:00.1Z", 100_000),
        ("1970-01-01T00:00:00.000001Z", 1),
        ("1970-01-01T00:00:00.0000019Z", 1),
        ("2024-02-29T23:59:59.999999Z", 1_709_251_199_999_999),
        ("2024-03-01T10:00:00+18:00", 1_709_222_400_000_000),
        ("9999-12-31T23:59:59.999999Z", 253_402_300_799_999_999),
        ("9999-12-31T23:59:59-01:00", None),
        ("1970-01-01T00:59:59+01:00", None),
        ("1969-12-31T23:59:59.999999Z", None),
        ("0001-01-01T00:00:00+18:00", None),
        ("0000-01-01T00:00:00Z", None),
        ("2023-02-29T00:00:00Z", None),
        ("2024-13-01T00:00:00Z", None),
        ("2024-01-01T24:00:00Z", None),
        ("2024-01-01T23:59:60Z", None),
        ("2024-01-01T00:00:00+18:01", None),
        ("2024-01-01T00:00:00+19:00", None),
        ("2024-01-01T00:00:00+05:60", None),
        ("2024-01-01T00:00:00+05:99", None),
        ("2024-01-01T00:00:00+5", None),
        ("2024-01-01T00:00:00 Z", None),
        ("2024-01-01T00:00:00z", None),
        ("2024-01-01T00:00:00,5Z", None),
        ("2024-01-01T00:00:00.Z", None),
        ("2024-01-01t00:00:00Z", None),
        ("2024-01-01", None),
        ("20240101T000000Z", None),
        ("2024-W01-1T00:00:00Z", None),
        ("1709287200", None),
        (" 2024-01-01T00:00:00Z", None),
        ("2024-01-01T00:00:00Z\n", None),
        ("\u0662024-01-01T00:00:00Z", None),
        ("", None),
        ("now", None),
    ],
)
def test_times(written: str, micros: int | None) -> None:
    assert instant(written) == micros


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("null", None),
        ('""', None),
        ('"a"', "a"),
        ('" "', " "),
        ('"null"', "null"),
        ("7", "7"),
        ("1.10", "1.10"),
        ("1E5", "1E5"),
        ("9" * 30, "9" * 30),
        ("[]", None),
        ("{}", None),
    ],
)
def test_texts_keep_numbers_as_written(written: str, said: str | None) -> None:
    assert text(decode(written.encode())) == said


@given(json_texts)
@example("9" * 5000)
def test_no_json_value_raises(written: str) -> None:
    try:
        leaf: Any = decode(written.encode())
    except ValueError:
        return
    assert isinstance(text(leaf), str | None)
    for excess in ("reject", "round"):
        minor = amount(leaf, "USD", excess)
        assert minor is None or isinstance(minor, Reason) or abs(minor) <= LARGEST_MINOR
    units = quantity(leaf)
    assert units is None or isinstance(units, Reason | int)
    assert isinstance(instant(leaf if type(leaf) is str else written), int | None)


@given(st.binary())
def test_bytes_decode_or_are_refused(value: bytes) -> None:
    with contextlib.suppress(ValueError):
        decode(value)
    assert type(decode(b"1.10")) is NumberText
