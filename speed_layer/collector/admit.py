"""From messages to Kafka records: each message gets a disposition, and a record where something may be kept. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import msgspec

from contracts.envelope import Entered, Stamp, enter
from contracts.kinds import CALL_TYPES
from contracts.letters import Stage, refused
from contracts.privacy import InstallationKeys
from contracts.reasons import LONGEST_ID, Reason
from contracts.topics import EVENTS, REJECTED
from speed_layer.collector.answers import Disposition


class Record(NamedTuple):
    """One record for Kafka."""

    topic: str
    key: bytes
    value: bytes
    headers: Sequence[tuple[str, bytes]] = ()


@dataclass(slots=True)
class Admitted:
    """What a request's messages became. `records[i]` must be acknowledged for `dispositions[owners[i]]` to hold."""

    dispositions: list[Disposition] = field(default_factory=list)
    call_types: list[str] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    owners: list[int] = field(default_factory=list)

    @property
    def is_any_accepted(self) -> bool:
        """Whether there is an event to keep; without one the sender is refused, and no record is written."""
        return any(record.topic == EVENTS.name for record in self.records)

    def without(self, lost: Sequence[int]) -> list[Disposition]:
        """The dispositions, where the records `lost` were not acknowledged."""
        settled = list(self.dispositions)
        for index in lost:
            owner = self.owners[index]
            settled[owner] = Disposition(settled[owner].message_id, "unavailable")
        return settled


class _Peek(msgspec.Struct):
    type: Any = None
    messageId: Any = None  # noqa: N815 - Segment's name


_PEEK: Final = msgspec.json.Decoder(_Peek)
_COLLECT_FALSE: Final = re.compile(rb'"collect"\s*:\s*false')
# Reasons for which `enter` gave a message up before it could look for consent.
_UNREAD: Final = frozenset(
    {
        Reason.TOO_LARGE,
        Reason.TOO_DEEP,
        Reason.INVALID_UTF8,
        Reason.NOT_JSON,
        Reason.DUPLICATE_KEY,
        Reason.WRONG_TYPE,
    },
)


def admit(messages: Sequence[bytes], call_type: str | None, stamp: Stamp, keys: InstallationKeys) -> Admitted:
    """Check and wrap `messages`. `call_type` is the endpoint's; None in a batch, where each message has its own."""
    made = Admitted()
    for index, raw in enumerate(messages):
        result = enter(raw, call_type, stamp, keys)
        if isinstance(result, Entered):
            made.dispositions.append(Disposition(result.message_id, "accepted"))
            made.call_types.append(result.call_type)
            made.records.append(Record(EVENTS.name, result.key, result.value, result.headers))
            made.owners.append(index)
            continue
        peek = _peek(raw)
        message_id = result.message_id or _message_id(peek)
        made.call_types.append(call_type or _known_type(peek))
        if result.reason is None or _may_withhold_collection(raw, result.reason):
            made.dispositions.append(Disposition(message_id, "refused_no_consent"))
            continue
        made.dispositions.append(Disposition.rejected(message_id, result.reason))
        made.records.append(_dead_letter(raw, result.reason, call_type, stamp, keys))
        made.owners.append(index)
    return made


def _dead_letter(raw: bytes, reason: Reason, call_type: str | None, stamp: Stamp, keys: InstallationKeys) -> Record:
    letter = refused(
        Stage.COLLECTOR,
        reason,
        raw,
        keys,
        received_at=stamp.received_at,
        sender=stamp.source,
        call_type=call_type,
    )
    return Record(REJECTED.name, letter.id.encode(), letter.to_bytes())


def _peek(raw: bytes) -> _Peek | None:
    try:
        return _PEEK.decode(raw)
    except (ValueError, RecursionError):
        return None


def _may_withhold_collection(raw: bytes, reason: Reason) -> bool:
    """Whether a message that was not read seems to say that nothing may be kept of it, dead letters included.

    The mere text decides: rather keep one too few.
    """
    return reason in _UNREAD and _COLLECT_FALSE.search(raw) is not None


def _message_id(peek: _Peek | None) -> str | None:
    given = peek.messageId if peek else None
    return given if isinstance(given, str) and 0 < len(given) <= LONGEST_ID else None


def _known_type(peek: _Peek | None) -> str:
    given = peek.type if peek else None
    return str(given) if given in CALL_TYPES else "unknown"
