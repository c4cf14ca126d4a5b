"""From one record as it arrived to one event, or to the reason it is refused.

What an event says beyond the measures' needs is read in `context` and looked up in `enrich`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from contracts.consent import Consent, consent_of
from contracts.envelope import DEEPEST_NESTING, REPLAY, is_deeper, record_key
from contracts.kinds import CALL_TYPES, PRODUCT_KINDS, kind_of
from contracts.money import LARGEST_MINOR
from contracts.reasons import LONGEST_ID, PLACEHOLDER_IDS, Reason
from spark_jobs.transforms import leaves
from spark_jobs.transforms.clocks import Clocks, clocks_of
from spark_jobs.transforms.enrich.record import NOT_ENRICHED, Enriched, Reference, enrich, reference_of
from spark_jobs.transforms.saying import object_of, said_of

_ORDER_KINDS = ("purchase", "refund")
_AMOUNTS = ("price", "total", "revenue", "value", "tax", "shipping", "discount")


class Event(NamedTuple):
    """A parsed event. Times are microseconds since 1970 UTC; `_minor` is money in minor units of `currency`."""

    event_id: str
    fingerprint: str
    visitor: str
    type: str
    name: str | None
    kind: str
    event_time: int
    received_at: int
    ref: str | None
    product_id: str | None
    category: str | None
    brand: str | None
    price_minor: int | None
    quantity: int | None
    currency: str
    order_id: str | None
    value_minor: int | None
    tax_minor: int | None
    shipping_minor: int | None
    discount_minor: int | None
    coupon: str | None
    lines: list[dict[str, Any]] | None
    path: str | None
    referrer: str | None
    query: str | None
    anonymous_id: str | None
    user_id: str | None
    previous_id: str | None
    clocks: Clocks
    consent: Consent
    enriched: Enriched

    @property
    def may_analyse(self) -> bool:
        """Whether it may be counted."""
        return self.consent.analyse

    @property
    def row(self) -> tuple[object, ...]:
        """Its columns of `fields.EVENT`, those that name the record left out."""
        *own, clocks, consent, enriched = self
        return (*own, *clocks, consent.personalise, consent.train, *enriched)


class _Rejected(Exception):
    """Carries a reason out of the steps."""

    def __init__(self, reason: Reason) -> None:
        self.reason = reason


def parse(
    key: bytes | None, value: bytes | None, rules: Mapping[str, str], reference: Reference | None = None
) -> Event | Reason:
    """One record's event, or the first reason, in the entrance's own order, why there is none.

    `reference` is that of the rules, to spare looking for it with every record.
    """
    try:
        return _event(key, _decode(value), rules, reference or reference_of(rules))
    except _Rejected as rejected:
        return rejected.reason


def _decode(value: bytes | None) -> dict[str, Any]:
    if value is None:
        raise _Rejected(Reason.NOT_JSON)
    # The envelope is one level around the message.
    if is_deeper(value, DEEPEST_NESTING + 1):
        raise _Rejected(Reason.TOO_DEEP if _is_utf8(value) else Reason.INVALID_UTF8)
    try:
        envelope = leaves.decode(value)
    except ValueError as error:
        raise _Rejected(Reason.NOT_JSON if _is_utf8(value) else Reason.INVALID_UTF8) from error
    if type(envelope) is not dict:
        raise _Rejected(Reason.NOT_JSON)
    return envelope


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _event(key: bytes | None, envelope: dict[str, Any], rules: Mapping[str, str], reference: Reference) -> Event:
    message, received_at = _message(key, envelope)
    call_type = envelope["type"]
    if call_type not in CALL_TYPES:
        raise _Rejected(Reason.UNKNOWN_TYPE)
    properties, context = _object(message, "properties"), _object(message, "context")
    _object(message, "traits")
    sent_lines = _sent_lines(properties)
    visitor = _visitor(message)
    event_name = _event_name(message) if call_type == "track" else None
    own_time = _own_time(message)
    event_time = received_at if own_time is None else own_time
    currency = _currency(properties, rules["currency_default"])
    excess = rules["money_excess_digits"]
    amounts, lines, quantity = _figures(properties, sent_lines, currency, excess)
    kind = kind_of(call_type, event_name)
    is_order = kind in _ORDER_KINDS
    value, order_lines = _order(properties, amounts, lines, currency, excess) if is_order else (None, None)
    product_id = leaves.text(properties.get("product_id"))
    name = event_name or leaves.text(message.get("name"))
    path = leaves.text(properties.get("path")) or leaves.text(object_of(context, "page").get("path"))
    said = said_of(envelope, call_type, properties, context, event_time)
    order_id, query = leaves.text(properties.get("order_id")), leaves.text(properties.get("query"))
    return Event(
        envelope["messageId"],
        envelope["fingerprint"],
        visitor,
        call_type,
        name,
        kind,
        event_time,
        received_at,
        _ref(kind, product_id, path, name, query, order_id),
        product_id,
        leaves.text(properties.get("category")),
        leaves.text(properties.get("brand")),
        amounts.get("price"),
        quantity,
        currency,
        order_id,
        value,
        amounts.get("tax"),
        amounts.get("shipping"),
        amounts.get("discount"),
        leaves.text(properties.get("coupon")),
        order_lines,
        path,
        said.referrer,
        query,
        _id(message.get("anonymousId")),
        _id(message.get("userId")),
        _id(message.get("previousId")),
        clocks_of(
            event_time,
            _sent_at(envelope),
            received_at,
            is_own=own_time is not None,
            is_replay=envelope.get("source") == REPLAY,
        ),
        consent_of(context, rules["consent_default"]),
        enrich(said, reference) if rules["enrichment"] == "on" else NOT_ENRICHED,
    )


def _message(key: bytes | None, envelope: dict[str, Any]) -> tuple[dict[str, Any], int]:
    message, received = envelope.get("message"), envelope.get("receivedAt")
    message_id, fingerprint = envelope.get("messageId"), envelope.get("fingerprint")
    known = type(message_id) is str and type(fingerprint) is str and message_id and fingerprint
    at = leaves.instant(received) if type(received) is str else None
    if not known or type(message) is not dict or at is None or envelope.get("type") is None:
        raise _Rejected(Reason.NOT_AN_ENVELOPE)
    if key is None or bytes(key) != record_key(message_id, fingerprint):  # type: ignore[arg-type] # both known
        raise _Rejected(Reason.NOT_AN_ENVELOPE)
    return message, at


def _object(message: dict[str, Any], name: str) -> dict[str, Any]:
    given = message.get(name)
    if given is None:
        return {}
    if type(given) is not dict:
        raise _Rejected(Reason.WRONG_TYPE)
    return given


def _sent_lines(properties: dict[str, Any]) -> list[dict[str, Any]]:
    given = properties.get("products")
    if given is None:
        return []
    if type(given) is not list or any(type(line) is not dict for line in given):
        raise _Rejected(Reason.WRONG_TYPE)
    return given


def _visitor(message: dict[str, Any]) -> str:
    ids = [message.get("anonymousId"), message.get("userId")]
    if any(given is not None and type(given) is not str and type(given) is not int for given in ids):
        raise _Rejected(Reason.WRONG_TYPE)
    chosen = next((str(given) for given in ids if given is not None and given != ""), None)
    if chosen is None:
        raise _Rejected(Reason.MISSING_ID)
    trimmed = chosen.strip().lower()
    if not trimmed or trimmed in PLACEHOLDER_IDS or len(chosen) > LONGEST_ID:
        raise _Rejected(Reason.ILLEGAL_ID)
    return chosen


def _event_name(message: dict[str, Any]) -> str:
    event = message.get("event")
    if type(event) is not str or not event.strip():
        raise _Rejected(Reason.MISSING_EVENT_NAME)
    return event


def _id(given: Any) -> str | None:
    """An id that names somebody; None for all else."""
    if type(given) is not str and type(given) is not int:
        return None
    written = str(given)
    is_id = written.strip() and written.strip().lower() not in PLACEHOLDER_IDS and len(written) <= LONGEST_ID
    return written if is_id else None


def _own_time(message: dict[str, Any]) -> int | None:
    """When it happened, by the sender; None where the sender does not say."""
    given = message.get("originalTimestamp")
    given = message.get("timestamp") if given is None else given
    if given is None:
        return None
    at = leaves.instant(given) if type(given) is str else None
    if at is None:
        raise _Rejected(Reason.BAD_TIMESTAMP)
    return at


def _sent_at(envelope: dict[str, Any]) -> int | None:
    given = envelope.get("sentAt")
    return leaves.instant(given) if type(given) is str else None


def _currency(properties: dict[str, Any], default: str) -> str:
    given = properties.get("currency")
    if given is None:
        return default
    if type(given) is not str or len(given) != 3 or not given.isascii() or not given.isalpha():  # noqa: PLR2004 - ISO 4217
        raise _Rejected(Reason.BAD_CURRENCY)
    return given.upper()


def _figures(
    properties: dict[str, Any],
    sent_lines: list[dict[str, Any]],
    currency: str,
    excess: str,
) -> tuple[dict[str, Any], list[dict[str, Any]], int | None]:
    """Amounts by name, the order lines and the quantity; bad money is found before excess digits and quantities."""
    amounts = {n: leaves.amount(properties[n], currency, excess) for n in _AMOUNTS if n in properties}
    lines = [_line(line, currency, excess) for line in sent_lines]
    quantity = leaves.quantity(properties.get("quantity"))
    found: list[Any] = [*amounts.values(), quantity, *(leaf for line in lines for leaf in line.values())]
    for reason in (Reason.BAD_MONEY, Reason.EXCESS_DIGITS, Reason.BAD_QUANTITY):
        if any(leaf is reason for leaf in found):
            raise _Rejected(reason)
    if any(abs(_worth(line)) > LARGEST_MINOR for line in lines):
        raise _Rejected(Reason.BAD_MONEY)
    return amounts, lines, quantity  # type: ignore[return-value]


def _line(line: dict[str, Any], currency: str, excess: str) -> dict[str, Any]:
    units = leaves.quantity(line.get("quantity"))
    return {
        "product_id": leaves.text(line.get("product_id")),
        "category": leaves.text(line.get("category")),
        "brand": leaves.text(line.get("brand")),
        "price_minor": leaves.amount(line.get("price"), currency, excess),
        "quantity": 1 if units is None else units,
    }


def _order(
    properties: dict[str, Any],
    amounts: dict[str, Any],
    lines: list[dict[str, Any]],
    currency: str,
    excess: str,
) -> tuple[int | None, list[dict[str, Any]]]:
    """An order's value and lines: the value stated, else the sum of the priced lines."""
    if not lines and leaves.text(properties.get("product_id")):
        lines = [_line(properties, currency, excess)]
    stated = next((amounts[n] for n in ("total", "revenue", "value") if amounts.get(n) is not None), None)
    summed = sum(_worth(line) for line in lines)
    if any(abs(_worth(line)) > LARGEST_MINOR for line in lines) or (stated is None and abs(summed) > LARGEST_MINOR):
        raise _Rejected(Reason.BAD_MONEY)
    is_priced = any(line["price_minor"] is not None for line in lines)
    return (stated if stated is not None else summed if is_priced else None), lines


def _worth(line: dict[str, Any]) -> int:
    return int((line["price_minor"] or 0) * line["quantity"])


def _ref(
    kind: str,
    product_id: str | None,
    path: str | None,
    name: str | None,
    query: str | None,
    order_id: str | None,
) -> str | None:
    if kind in PRODUCT_KINDS:
        return product_id
    by_kind = {"page": path or name, "screen": name, "search": query}
    return order_id if kind in (*_ORDER_KINDS, "checkout") else by_kind.get(kind)
