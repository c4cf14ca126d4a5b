"""What a simulated world can be asked for."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from typing import Final, Self

from speed_layer.replay.message import SourceOptionInvalid

DEFAULT_START: Final = datetime(2025, 9, 1, tzinfo=UTC)
DEFAULT_VISITORS: Final = 1_000


@dataclass(frozen=True, slots=True)
class SimulatorConfig:
    """A world: the same config gives the same bytes.

    `visitors` is the number of people and bots who come for the first time during `days` days from `start` (UTC).
    With `events_target` the world is sized for that many messages instead, and no visit begins once they are
    reached: at most one visit more is sent. Every `*_rate` is a share between 0 and 1; the world behind the
    dirt (who comes, sees, buys) does not depend on the rates of dirt.

    Raises SourceOptionInvalid.
    """

    seed: int = 7
    visitors: int | None = None
    days: int = 2
    start: datetime = DEFAULT_START
    events_target: int | None = None

    declared_bot_rate: float = 0.03
    """Share of visitors that say in their User-Agent that they are bots."""
    undeclared_bot_rate: float = 0.01
    """Share of visitors that are bots behind a browser's User-Agent."""
    takeover_rate: float = 0.02
    """Share of identified customers whose account is used by a stranger at their last visit."""

    copy_rate: float = 0.01
    """Share of events sent again, byte for byte, 2 seconds to 15 minutes later (client retries)."""
    late_rate: float = 0.03
    """Share of a phone's visits whose tail is sent 2 minutes to 26 hours late."""
    broken_rate: float = 0.002
    """Broken messages per event; see `breakage`."""
    odd_clock_rate: float = 0.0005
    """Events stamped 1970 or in the far future, per event: odd, but valid."""
    synthetic_rate: float = 0.0005
    """Events with another event's messageId and another payload, per event."""
    no_consent_rate: float = 0.02
    """Share of visits whose events say `context.consent = {"analyse": false}`."""
    repeated_order_rate: float = 0.03
    """Share of orders reported twice, with the same order_id under another messageId."""

    def __post_init__(self) -> None:
        for field in fields(self):
            if field.name.endswith("_rate") and not 0 <= getattr(self, field.name) <= 1:
                raise SourceOptionInvalid(f"{field.name} is not a share.", "Give a number between 0 and 1.")
        for name in ("visitors", "days", "events_target"):
            if (count := getattr(self, name)) is not None and count < 1:
                raise SourceOptionInvalid(f"{name}={count} is too small.", "Give a whole number of at least 1.")
        if self.start.utcoffset() is None:
            raise SourceOptionInvalid("start has no time zone.", "Give it with one, for example 2025-09-01T00:00:00Z.")
        if self.visitors is not None and self.events_target is not None:
            raise SourceOptionInvalid("visitors and events_target exclude each other.", "Give one of them.")

    def without_dirt(self) -> Self:
        """The same world, sent by perfect clients: no copies, late, broken, odd, repeated or unconsented events."""
        return replace(
            self,
            copy_rate=0.0,
            late_rate=0.0,
            broken_rate=0.0,
            odd_clock_rate=0.0,
            synthetic_rate=0.0,
            no_consent_rate=0.0,
            repeated_order_rate=0.0,
        )
