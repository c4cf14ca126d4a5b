"""What the clocks of sender and entrance say about each other. None of it is read by a measure."""

from __future__ import annotations

from typing import Final, NamedTuple

from spark_jobs.transforms.leaves import YEAR_10000

_DAY: Final = 86_400_000_000
# 2000-01-01: earlier, a clock was never set.
_FIRST_SET: Final = 946_684_800_000_000


class Clocks(NamedTuple):
    """Times in microseconds since 1970 UTC; see `contracts.fields` for what they mean."""

    sent_at: int | None
    corrected_time: int
    lateness_ms: int | None
    clock_fault: str | None


def clocks_of(event_time: int, sent_at: int | None, received_at: int, *, is_own: bool, is_replay: bool) -> Clocks:
    """Set the sender's clock right by what it said when it sent, after Segment's Spec (common fields: timestamps).

    `is_own`: the sender said when it happened; otherwise `event_time` is the entrance's own. Of a file that is
    replayed, the entrance's clock says nothing: there only the time between happening and sending is known.
    """
    if is_replay:
        lateness = (sent_at - event_time) // 1000 if sent_at is not None and is_own else None
        return Clocks(sent_at, event_time, lateness, _fault(event_time, received_at, 0))
    skew = received_at - sent_at if sent_at is not None and is_own else 0
    corrected = min(max(event_time + skew, 0), YEAR_10000 - 1)
    return Clocks(sent_at, corrected, (received_at - corrected) // 1000, _fault(event_time, received_at, skew))


def _fault(event_time: int, received_at: int, skew: int) -> str | None:
    if event_time >= received_at + _DAY:
        return "ahead"
    if event_time < _FIRST_SET:
        return "unset"
    return "skewed" if abs(skew) >= _DAY else None
