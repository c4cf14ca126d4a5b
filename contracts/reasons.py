"""Every reason a record can be refused for, once. A refused record is a counted dead letter, never an exception."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Why a record is not counted as an event. The value is what tables, metrics and answers show."""

    INVALID_UTF8 = "invalid_utf8"
    NOT_JSON = "not_json"
    NOT_AN_ENVELOPE = "not_an_envelope"
    WRONG_TYPE = "wrong_type"
    TOO_LARGE = "too_large"
    TOO_DEEP = "too_deep"
    DUPLICATE_KEY = "duplicate_key"
    UNKNOWN_TYPE = "unknown_type"
    MISSING_EVENT_NAME = "missing_event_name"
    MISSING_ID = "missing_id"
    ILLEGAL_ID = "illegal_id"
    BAD_TIMESTAMP = "bad_timestamp"
    BAD_CURRENCY = "bad_currency"
    BAD_MONEY = "bad_money"
    EXCESS_DIGITS = "excess_digits"
    BAD_QUANTITY = "bad_quantity"


EXPLANATIONS: dict[Reason, str] = {
    Reason.INVALID_UTF8: "The bytes are not UTF-8 text.",
    Reason.NOT_JSON: "The text is not one JSON object.",
    Reason.NOT_AN_ENVELOPE: "The record was not written by a Tidemark collector: stamp or fingerprint is missing.",
    Reason.WRONG_TYPE: "A field has a JSON type other than its contract's.",
    Reason.TOO_LARGE: "The event exceeds the size limit.",
    Reason.TOO_DEEP: "The JSON is nested too deeply.",
    Reason.DUPLICATE_KEY: "A JSON object names the same key twice.",
    Reason.UNKNOWN_TYPE: "`type` is none of track, page, screen, identify, group, alias.",
    Reason.MISSING_EVENT_NAME: "A track call has no `event`.",
    Reason.MISSING_ID: "Neither `anonymousId` nor `userId` is given.",
    Reason.ILLEGAL_ID: "An id is a placeholder such as `null`, or longer than 255 characters.",
    Reason.BAD_TIMESTAMP: "`timestamp` is not an ISO 8601 time between the years 1970 and 9999.",
    Reason.BAD_CURRENCY: "`currency` is not a three-letter ISO 4217 code.",
    Reason.BAD_MONEY: "An amount is not a plain decimal number in range.",
    Reason.EXCESS_DIGITS: "An amount has more digits than its currency has minor units.",
    Reason.BAD_QUANTITY: "`quantity` is not a whole number in range.",
}

# Values that clients send where an id is unknown. Taken as ids they would fuse strangers into one visitor.
PLACEHOLDER_IDS = ("null", "undefined", "none", "nan", "(null)", "[object object]")
LONGEST_ID = 255
