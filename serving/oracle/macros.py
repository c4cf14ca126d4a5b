"""Small SQL functions over *said* fields (see `reading`) and texts; every rule is written with them."""

from __future__ import annotations

from typing import Final

# What Python's `str.strip` takes away: Unicode white space, as the entrance does when it judges an id to be blank.
_BLANKS: Final = "".join(
    map(chr, [*range(0x09, 0x0E), *range(0x1C, 0x21), 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029]),
) + "".join(map(chr, [0x202F, 0x205F, 0x3000]))
_BARE: Final = "[!-~]([ -~]*[!-~])?"
_ON_CLOCK: Final = "([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
_ZONE: Final = "Z|[+-](0[0-9]|1[0-7]):?[0-5][0-9]|[+-]18:?00"
_ISO_8601: Final = rf"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}T{_ON_CLOCK}(\.[0-9]+)?({_ZONE})?"

MACROS: Final = (
    # A string's text; NULL for any other JSON type.
    "string_of(said) AS CASE WHEN starts_with(said, 's') THEN substr(said, 2) END",
    # What names something: a string, or a number as it was written; the empty string names nothing.
    "name_of(said) AS CASE WHEN starts_with(said, 's') OR starts_with(said, 'n') THEN nullif(substr(said, 2), '') END",
    # Trimming by so long a list is slow: most texts have nothing to trim, and show it.
    f"stripped(words) AS CASE WHEN regexp_full_match(words, '{_BARE}') THEN words ELSE trim(words, '{_BLANKS}') END",
    # One letter's lower case is two letters: U+0130 becomes i and a combining dot, never a plain i.
    "folded(words) AS lower(replace(stripped(words), chr(304), 'i' || chr(775)))",
    """
    zone_minutes(zone) AS CASE WHEN length(zone) >= 5 THEN
        (left(zone, 1) || '1')::BIGINT * (substr(zone, 2, 2)::BIGINT * 60 + right(zone, 2)::BIGINT) ELSE 0 END
    """,
    """
    micros(fraction) AS CASE WHEN length(fraction) > 1 THEN rpad(substr(fraction, 2), 6, '0')::BIGINT ELSE 0 END
    """,
    """
    shifted(clock, fraction, zone) AS
        epoch_us(clock) + micros(fraction) - zone_minutes(zone) * 60000000
    """,
    # Microseconds since 1970 of an ISO 8601 time; NULL where it is none, or no day of the calendar.
    rf"""
    epoch_of(words) AS CASE WHEN regexp_full_match(words, '{_ISO_8601}') THEN shifted(
        try_cast(replace(left(words, 19), 'T', ' ') AS TIMESTAMP),
        regexp_extract(substr(words, 20), '^\.[0-9]+'),
        regexp_extract(substr(words, 20), '[+-].*$')
    ) END
    """,
    # The instant of an ISO 8601 time in the years 1970 to 9999, UTC; digits after the microsecond are cut off.
    """
    instant_of(words) AS CASE WHEN epoch_of(words) BETWEEN 0 AND 253402300799999999
        THEN make_timestamp(epoch_of(words)) END
    """,
)
