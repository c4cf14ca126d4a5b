"""What a replay source yields: messages as a client would send them, and rows that cannot become one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from contracts.errors import TidemarkError


class ReplayError(TidemarkError):
    """A replay source cannot be used. Bad rows inside a usable source are `BadRow` items, not errors."""


class ReplayFileMissing(ReplayError):
    """The file a source names does not exist."""


class ReplayFileUnreadable(ReplayError):
    """The file exists but cannot be read: a folder, no permission, not gzip, or another format's header."""


class SourceUnknown(ReplayError):
    """No source has the name that was asked for."""


class SourceOptionInvalid(ReplayError):
    """A source was given an option it does not have, or a value the option cannot take."""


@dataclass(frozen=True, slots=True)
class SourceMessage:
    """One message of the Segment spec, on its way to the collector.

    `raw` is the JSON text exactly as the client sends it (for a broken client: whatever it sends).
    `send_at` is when the client sends it, UTC, on the source's own clock; `sent_at` is the client's word for
    that moment (ISO 8601), None where the source does not know it. `ip` and `user_agent` are the request's.
    """

    raw: bytes
    send_at: datetime
    sent_at: str | None = None
    ip: str | None = None
    user_agent: str | None = None


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row of a log that is no event. `line_number` counts from 1, the header included."""

    line_number: int
    reason: str


SourceItem = SourceMessage | BadRow
