"""Dead letters: one shape for what the collector, a replay and the live query refuse.

    {"id", "failure": {"stage", "code", "path", "message", "schema_version"},
     "record", "received_at", "sender", "size", "raw"}

`raw` is base64 of the message (of the record's value, from live), cleaned and cut; `size` is its whole length. `record`
is `log:partition:offset` where the refused thing lies in the event log, else absent. `path` is the JSON pointer of what
is amiss, as far as the event's contract knows, and `schema_version` that contract's.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final

import msgspec

from contracts.privacy import InstallationKeys, cleaned_letter
from contracts.reasons import EXPLANATIONS, Reason
from contracts.validation import findings

LARGEST_RAW_BYTES: Final = 64 * 1024


class Stage(StrEnum):
    """Who refused it."""

    COLLECTOR = "collector"
    REPLAY = "replay"
    LIVE = "live"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why. `code` is one of `reasons.Reason`, or a replay's word for a row that is no message."""

    stage: str
    code: str
    path: str | None
    message: str
    schema_version: int | None


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter. At least once: letters of one `id` are one."""

    id: str
    failure: Failure
    record: str | None
    received_at: str | None
    sender: str | None
    size: int
    raw: bytes

    def to_json(self) -> dict[str, Any]:
        """Its JSON form, as in the topic."""
        told = asdict(self) | {"raw": base64.b64encode(self.raw[:LARGEST_RAW_BYTES]).decode()}
        return {name: value for name, value in told.items() if value is not None}

    def to_bytes(self) -> bytes:
        """The record's value."""
        return msgspec.json.encode(self.to_json())

    @classmethod
    def from_bytes(cls, value: bytes) -> Letter:
        """The letter of a record's value. Raises `ValueError` where it is none."""
        try:
            told = msgspec.json.decode(value)
            failure = Failure(**{name: told["failure"].get(name) for name in Failure.__dataclass_fields__})
            return cls(
                told["id"],
                failure,
                told.get("record"),
                told.get("received_at"),
                told.get("sender"),
                told["size"],
                base64.b64decode(told["raw"]),
            )
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError("this record is no dead letter") from error


def refused(
    stage: Stage,
    code: str,
    raw: bytes,
    keys: InstallationKeys,
    *,
    received_at: str,
    sender: str | None,
    call_type: str | None = None,
) -> Letter:
    """The letter of a message that got no further than the entrance, cleaned of what may not be kept.

    At least once, so its id is the same for every copy of the same bytes. The id has a key: a plain hash of a short
    message could be undone by trying.
    """
    name = hmac.digest(keys.secret, b"dead letter\0" + raw, "sha256")[:16].hex()
    clean = cleaned_letter(raw, keys)
    failure = failure_of(stage, code, clean, call_type)
    return Letter(name, failure, None, received_at, sender, len(raw), clean)


def failure_of(stage: Stage, code: str, raw: bytes, call_type: str | None = None) -> Failure:
    """The failure of a message, or of an envelope around one (live), with the place its contract finds amiss."""
    try:
        message = msgspec.json.decode(raw)
        if stage is Stage.LIVE and isinstance(message, dict):
            call_type, message = message.get("type"), message.get("message")
    except (ValueError, RecursionError):
        message = None
    # What is no contract's business (an id that is a placeholder, text that is no JSON) has no finding.
    known = findings(message, call_type if isinstance(call_type, str) else None) if isinstance(message, Mapping) else []
    found = next((one for one in known if not one.is_note), None)
    says = EXPLANATIONS[Reason(code)] if code in set(Reason) else code
    return Failure(stage, code, found.pointer if found else None, says, found.version if found else None)
