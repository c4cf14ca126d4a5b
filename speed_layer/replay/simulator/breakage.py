"""Broken messages, as they come from old trackers, bad networks and typing errors, and the reason each must get."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Final

from contracts.reasons import Reason
from speed_layer.replay.simulator.clock import iso_text
from speed_layer.replay.simulator.devices import Device
from speed_layer.replay.simulator.encode import encode
from speed_layer.replay.simulator.journey import Event
from speed_layer.replay.simulator.people import message_id

_NOT_JSON: Final = (b"<html>502 Bad Gateway</html>", b"hello", b"[object Object]", b"[1,2]", b"\x00\x01")
_ORDER_HEAD: Final = '"type":"track","event":"Order Completed"'


def broken_message(rng: Random, event: Event, device: Device) -> tuple[Reason, bytes]:
    """A message that resembles the event but cannot be counted, under an id of its own, and the reason it gets."""
    reason, make = rng.choice(_KINDS)
    return reason, make(rng, event, device)


def _sound(rng: Random, event: Event, device: Device) -> str:
    return encode(event, device, message_id(rng), iso_text(event.at_ms))


def _not_json(rng: Random, _event: Event, _device: Device) -> bytes:
    return rng.choice(_NOT_JSON)


def _truncated(rng: Random, event: Event, device: Device) -> bytes:
    raw = _sound(rng, event._replace(body='"properties":{}'), device).encode()
    return raw[: rng.randrange(1, len(raw))].decode(errors="ignore").encode()


def _invalid_utf8(rng: Random, event: Event, device: Device) -> bytes:
    return _sound(rng, event, device).encode().replace(b'"anonymousId":"', b'"anonymousId":"\xff\xfe', 1)


def _text_for_object(rng: Random, event: Event, device: Device) -> bytes:
    return _sound(rng, event._replace(body='"properties":"[object Object]"'), device).encode()


def _list_for_id(rng: Random, event: Event, device: Device) -> bytes:
    own_id = f'"{device.anonymous_id}"'
    return _sound(rng, event, device).replace(own_id, f"[{own_id}]", 1).encode()


def _missing_id(rng: Random, event: Event, device: Device) -> bytes:
    sound = _sound(rng, event._replace(user_id=None), device)
    return sound.replace(f',"anonymousId":"{device.anonymous_id}"', "", 1).encode()


def _null_id(rng: Random, event: Event, device: Device) -> bytes:
    sound = _sound(rng, event._replace(user_id=None), device)
    return sound.replace(device.anonymous_id, rng.choice(("null", "undefined")), 1).encode()


def _bad_timestamp(rng: Random, event: Event, device: Device) -> bytes:
    text = rng.choice(("yesterday at noon", "31/12/2025", "2025-13-45T99:00:00Z", "Invalid Date"))
    return encode(event, device, message_id(rng), text).encode()


def _excess_digits(rng: Random, event: Event, device: Device) -> bytes:
    order_id, currency = f"O-{rng.getrandbits(52):013x}", device.country.currency
    body = f'"properties":{{"order_id":"{order_id}","total":{rng.randrange(5, 900)}.345,"currency":"{currency}"}}'
    return _sound(rng, event._replace(head=_ORDER_HEAD, body=body), device).encode()


def _unknown_type(rng: Random, event: Event, device: Device) -> bytes:
    return _sound(rng, event._replace(head='"type":"trakc","event":"Product Viewed"'), device).encode()


def _missing_event_name(rng: Random, event: Event, device: Device) -> bytes:
    return _sound(rng, event._replace(head='"type":"track"', body='"properties":{}'), device).encode()


_KINDS: Final[tuple[tuple[Reason, Callable[[Random, Event, Device], bytes]], ...]] = (
    (Reason.NOT_JSON, _not_json),
    (Reason.NOT_JSON, _truncated),
    (Reason.INVALID_UTF8, _invalid_utf8),
    (Reason.WRONG_TYPE, _text_for_object),
    (Reason.WRONG_TYPE, _list_for_id),
    (Reason.MISSING_ID, _missing_id),
    (Reason.ILLEGAL_ID, _null_id),
    (Reason.BAD_TIMESTAMP, _bad_timestamp),
    (Reason.EXCESS_DIGITS, _excess_digits),
    (Reason.UNKNOWN_TYPE, _unknown_type),
    (Reason.MISSING_EVENT_NAME, _missing_event_name),
)
