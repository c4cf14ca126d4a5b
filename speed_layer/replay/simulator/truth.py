"""The hidden truth of a simulated world: what really happened, and what was done to the events on the way."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Final

import msgspec

from contracts.reasons import Reason

_CHUNK_BYTES: Final = 1024 * 1024


class PersonTruth(msgspec.Struct, frozen=True, tag_field="record", tag="person"):
    """A person or bot. `visitors` are the anonymous ids used; `user_id` is None until they logged in somewhere.

    `kind` is human, declared_bot or undeclared_bot; `devices` names the models, in the order of `visitors`.
    """

    person_id: str
    kind: str
    is_bot: bool
    country: str
    visitors: list[str]
    devices: list[str]
    user_id: str | None
    is_taken_over: bool
    takeover_visitor: str | None


class SessionTruth(msgspec.Struct, frozen=True, tag_field="record", tag="session"):
    """One visit, as an exact sessioniser with a gap of 30 minutes sees it. Times are the sender's, UTC.

    `event_count` counts distinct (messageId, payload); `entry_page` and `exit_page` are the paths of the first and
    last page or screen call; `steps` are the kinds reached, in the order first reached; `readiness` to buy is the
    hidden variable behind the visit's course. A session without consent (`has_consent` False) must not be counted.
    """

    visitor: str
    person_id: str
    start: datetime
    last: datetime
    event_count: int
    channel: str
    source: str | None
    medium: str | None
    campaign: str | None
    entry_page: str
    exit_page: str
    steps: list[str]
    is_converted: bool
    is_bot: bool
    is_takeover: bool
    is_odd_clock: bool
    has_consent: bool
    readiness: float


class OrderTruth(msgspec.Struct, frozen=True, tag_field="record", tag="order"):
    """One order. Amounts are minor units of `currency`; `refunded_minor` is 0 where nothing was given back."""

    order_id: str
    visitor: str
    session_start: datetime
    at: datetime
    value_minor: int
    currency: str
    line_count: int
    repeat_count: int
    has_consent: bool
    is_refunded: bool = False
    refunded_minor: int = 0


class CountersTruth(msgspec.Struct, tag_field="record", tag="counters"):
    """What was sent: `message_count` = `unique_count` + `copy_count` + the sum of `broken`.

    `unique_count` counts distinct (messageId, payload) of sound messages; `no_consent_count` of them refuse
    analysis and the rest are in `events` by call type or event name. Late, odd and synthetic ones are among the
    unique; an event is late when it is sent over a minute after its timestamp (odd clocks aside). Revenue and
    refunds are minor units by currency, of consented events.
    """

    message_count: int = 0
    unique_count: int = 0
    copy_count: int = 0
    late_count: int = 0
    odd_clock_count: int = 0
    synthetic_count: int = 0
    no_consent_count: int = 0
    repeated_order_count: int = 0
    session_count: int = 0
    order_count: int = 0
    broken: dict[str, int] = {}
    events: dict[str, int] = {}
    revenue_minor: dict[str, int] = {}
    refunds_minor: dict[str, int] = {}


Record = PersonTruth | SessionTruth | OrderTruth


class Truth:
    """Gathers the truth while a world is simulated; complete when the world's messages are exhausted.

    Records are kept compressed: about 50 bytes each.
    """

    def __init__(self) -> None:
        self.counters = CountersTruth()
        self.broken: Counter[Reason] = Counter()
        self.events: Counter[str] = Counter()
        self.revenue_minor: Counter[str] = Counter()
        self.refunds_minor: Counter[str] = Counter()
        self.is_complete = False
        self._refunded_minor: dict[str, int] = {}
        self._encoder = msgspec.json.Encoder()
        self._decoder = msgspec.json.Decoder(Record)
        self._packed: list[bytes] = []
        self._open = bytearray()

    def add(self, record: Record) -> None:
        """Keep one record."""
        self._open += self._encoder.encode(record) + b"\n"
        if len(self._open) >= _CHUNK_BYTES:
            self._packed.append(zlib.compress(self._open, level=1))
            self._open.clear()

    def add_refund(self, order_id: str, value_minor: int) -> None:
        """Remember that an order was refunded; `records` says so in the order."""
        self._refunded_minor[order_id] = value_minor

    def summary(self) -> CountersTruth:
        """The counters as they stand."""
        counters = self.counters
        counters.broken = {reason.value: count for reason, count in sorted(self.broken.items())}
        counters.events = dict(sorted(self.events.items()))
        counters.revenue_minor = dict(sorted(self.revenue_minor.items()))
        counters.refunds_minor = dict(sorted(self.refunds_minor.items()))
        return counters

    def records(self) -> Iterator[Record]:
        """Every record so far, in the order of the visits; a person comes after their last visit."""
        packed, rest = tuple(self._packed), bytes(self._open)
        for chunk in chain(map(zlib.decompress, packed), (rest,)):
            for line in chunk.splitlines():
                yield self._with_refund(self._decoder.decode(line))

    def people(self) -> Iterator[PersonTruth]:
        """Every person and bot."""
        return (record for record in self.records() if isinstance(record, PersonTruth))

    def sessions(self) -> Iterator[SessionTruth]:
        """Every session, those of odd clocks and without consent included."""
        return (record for record in self.records() if isinstance(record, SessionTruth))

    def orders(self) -> Iterator[OrderTruth]:
        """Every order."""
        return (record for record in self.records() if isinstance(record, OrderTruth))

    def write(self, path: Path) -> None:
        """Write JSON Lines: the counters first, then every record; `record` says which kind a line is."""
        with path.open("wb") as file:
            file.write(self._encoder.encode(self.summary()) + b"\n")
            file.writelines(self._encoder.encode(record) + b"\n" for record in self.records())

    def _with_refund(self, record: Record) -> Record:
        if isinstance(record, OrderTruth) and record.order_id in self._refunded_minor:
            minor = self._refunded_minor[record.order_id]
            return msgspec.structs.replace(record, is_refunded=True, refunded_minor=minor)
        return record


def read_truth(path: Path) -> tuple[CountersTruth, Iterator[Record]]:
    """What `Truth.write` wrote: the counters, and the records lazily."""
    decoder = msgspec.json.Decoder(CountersTruth | PersonTruth | SessionTruth | OrderTruth)

    def decoded() -> Iterator[CountersTruth | Record]:
        with path.open("rb") as file:
            for line in file:
                yield decoder.decode(line)

    lines = decoded()
    counters = next(lines)
    if not isinstance(counters, CountersTruth):
        raise TypeError(f"{path} does not begin with the counters of a truth file")
    return counters, (record for record in lines if not isinstance(record, CountersTruth))
