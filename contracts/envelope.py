"""The entrance: from one message as its sender wrote it to one Kafka record.

Every way in (collector, replay, benches) goes through `enter`, so a record looks the same whoever brought it.
The record's value is an envelope: what the entrance stamps, around the sender's bytes:

    {"type", "messageId", "receivedAt", "sentAt", "fingerprint", "ip", "userAgent", "source", "message": {...}}

They stay unchanged unless they hold what may not be kept in clear (`contracts/privacy`): ids that are somebody's e-mail
address, names, addresses. The fingerprint is of what was said, in clear, so no key changes which records are copies.

Its header `tm-key` repeats the deduplication key, so that copies are found without reading any JSON.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from contracts.addresses import cut_ip
from contracts.consent import withholds_collection
from contracts.kinds import CALL_TYPES
from contracts.privacy import InstallationKeys, cleaned, cleaned_text, identifier
from contracts.reasons import LONGEST_ID, PLACEHOLDER_IDS, Reason

LARGEST_EVENT_BYTES: Final = 32 * 1024
LARGEST_BATCH_BYTES: Final = 500 * 1024
DEEPEST_NESTING: Final = 64
KEY_HEADER: Final = "tm-key"
REPLAY: Final = "replay"  # the `source` of what comes out of a file, whenever it happened

_FINGERPRINTED = (
    "event",
    "name",
    "anonymousId",
    "userId",
    "groupId",
    "previousId",
    "properties",
    "traits",
    "context",
)


def stamped(at: datetime) -> str:
    """A moment in UTC as stamps write it: ISO 8601 to the millisecond."""
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class Stamp:
    """What the entrance knows of a message besides its bytes. Times are ISO 8601 UTC texts."""

    received_at: str
    sent_at: str | None = None
    ip: str | None = None
    user_agent: str | None = None
    source: str | None = None


@dataclass(frozen=True, slots=True)
class Entered:
    """A message that may go to Kafka: record `key` (the visitor, UTF-8), `value` (the envelope) and `headers`.

    `message_id` is the record's: a pseudonym where the sender's holds a contact.
    """

    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]
    message_id: str
    fingerprint: str
    call_type: str


@dataclass(frozen=True, slots=True)
class Refused:
    """A message that may not. `reason` is None where consent to collect is withheld: then nothing may be kept."""

    reason: Reason | None
    message_id: str | None = None


class _NotAcceptable(Exception):
    """Carries a reason out of the JSON parser's hooks."""

    def __init__(self, reason: Reason) -> None:
        self.reason = reason


def enter(raw: bytes, call_type: str | None, stamp: Stamp, keys: InstallationKeys) -> Entered | Refused:
    """Check one message's size, shape and ids, take out what may not be kept in clear, and wrap it.

    `call_type` is the endpoint's (None: the message's own `type`). Never raises for what the sender wrote.
    """
    try:
        message = parse_message(raw)
        if withholds_collection(message.get("context") or {}):
            return Refused(None, _own_message_id(message))
        kind = _call_type(message, call_type)
        visitor = visitor_of(message)
    except _NotAcceptable as refusal:
        return Refused(refusal.reason)
    message_id = _own_message_id(message)
    fingerprint = fingerprint_of(kind, message, keys.secret)
    if message_id is None:
        message_id = fingerprint if _own_time(message) else str(uuid.uuid4())
    sent_at = stamp.sent_at or _own_text(message, "sentAt")
    clean = cleaned(raw, keys)
    if clean is not raw:
        visitor, message_id = identifier(visitor, keys), identifier(message_id, keys)
    head = {
        "type": kind,
        "messageId": message_id,
        "receivedAt": stamp.received_at,
        "sentAt": cleaned_text(sent_at, keys) if sent_at else sent_at,
        "fingerprint": fingerprint,
        "ip": cut_ip(stamp.ip),
        "userAgent": stamp.user_agent,
        "source": stamp.source,
    }
    known = {k: v for k, v in head.items() if v is not None}
    value = json.dumps(known, separators=(",", ":"))[:-1].encode() + b',"message":' + clean.strip() + b"}"
    headers = [(KEY_HEADER, record_key(message_id, fingerprint))]
    return Entered(visitor.encode(), value, headers, message_id, fingerprint, kind)


def record_key(message_id: str, fingerprint: str) -> bytes:
    """The deduplication key: 16 bytes of SHA-256 over both. Equal keys are copies of one event."""
    return hashlib.sha256(f"{message_id}\0{fingerprint}".encode()).digest()[:16]


def parse_message(raw: bytes) -> dict[str, Any]:
    """The message as a dict; non-integer numbers stay the text they were written in (money is never a float).

    Raises `_NotAcceptable` with the reason.
    """
    if len(raw) > LARGEST_EVENT_BYTES:
        raise _NotAcceptable(Reason.TOO_LARGE)
    if is_deeper(raw, DEEPEST_NESTING):
        raise _NotAcceptable(Reason.TOO_DEEP)
    try:
        message = _DECODER.decode(raw.decode())
        # Only an escape can name half of a character that UTF-8 has no bytes for.
        if b"\\u" in raw:
            json.dumps(message, ensure_ascii=False).encode()
    except UnicodeError as error:
        raise _NotAcceptable(Reason.INVALID_UTF8) from error
    except (ValueError, RecursionError) as error:
        raise _NotAcceptable(Reason.NOT_JSON) from error
    if not isinstance(message, dict):
        raise _NotAcceptable(Reason.NOT_JSON)
    for name in ("properties", "context", "traits"):
        if not isinstance(message.get(name), dict | None):
            raise _NotAcceptable(Reason.WRONG_TYPE)
    return message


def visitor_of(message: dict[str, Any]) -> str:
    """The record's own `anonymousId`, else `userId`. Raises `_NotAcceptable` where neither can serve."""
    ids = [message.get(name) for name in ("anonymousId", "userId")]
    if any(given is not None and type(given) is not str and type(given) is not int for given in ids):
        raise _NotAcceptable(Reason.WRONG_TYPE)
    visitor = next((str(given) for given in ids if given is not None and given != ""), None)
    if visitor is None:
        raise _NotAcceptable(Reason.MISSING_ID)
    if len(visitor) > LONGEST_ID or visitor.strip().lower() in PLACEHOLDER_IDS or not visitor.strip():
        raise _NotAcceptable(Reason.ILLEGAL_ID)
    return visitor


def fingerprint_of(call_type: str, message: dict[str, Any], secret: bytes) -> str:
    """128 bits, as hex, of HMAC-SHA-256 over the canonical JSON of what the sender said.

    Transport (`sentAt`, `messageId`) is left out: copies of one event agree. The secret is never rotated.
    """
    said = {name: message[name] for name in _FINGERPRINTED if name in message}
    said["type"] = call_type
    said["timestamp"] = _own_time(message)
    canonical = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hmac.digest(secret, canonical.encode(), "sha256")[:16].hex()


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise _NotAcceptable(Reason.DUPLICATE_KEY)
    return made


def _no_constant(text: str) -> Any:
    raise ValueError(text)


class _NumberText(str):
    """A number that is no integer, as it was written."""

    __slots__ = ()


# "#1.10" cannot be mistaken for an integer, and keeps 1.10 and 1.1 apart, as the fingerprint must.
_DECODER = json.JSONDecoder(
    parse_float=lambda text: _NumberText("#" + text),
    parse_constant=_no_constant,
    object_pairs_hook=_unique_keys,
)


def is_deeper(raw: bytes, levels: int) -> bool:
    """Whether JSON text nests objects and arrays more than `levels` deep."""
    return raw.count(b"{") + raw.count(b"[") > levels and _depth(raw) > levels


def _depth(raw: bytes) -> int:
    depth = deepest = 0
    inside_text = escaped = False
    for byte in raw:
        if inside_text:
            inside_text = escaped or byte != 0x22  # noqa: PLR2004 - the quote
            escaped = byte == 0x5C and not escaped  # noqa: PLR2004 - the backslash
        elif byte == 0x22:  # noqa: PLR2004 - the quote
            inside_text = True
        elif byte in b"{[":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"}]":
            depth -= 1
    return deepest


def _call_type(message: dict[str, Any], call_type: str | None) -> str:
    kind = call_type or message.get("type")
    if kind not in CALL_TYPES:
        raise _NotAcceptable(Reason.UNKNOWN_TYPE)
    return str(kind)


def _own_message_id(message: dict[str, Any]) -> str | None:
    given = message.get("messageId")
    return given if type(given) is str and 0 < len(given) <= LONGEST_ID else None


def _own_text(message: dict[str, Any], name: str) -> str | None:
    given = message.get(name)
    return given if type(given) is str else None


def _own_time(message: dict[str, Any]) -> Any:
    given = message.get("originalTimestamp")
    return message.get("timestamp") if given is None else given
