"""From the events of a visit to the messages that leave the device: when, how often, and how damaged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate
from math import exp, log
from random import Random
from typing import Final, NamedTuple

from speed_layer.replay.simulator.breakage import broken_message
from speed_layer.replay.simulator.checkout import Order
from speed_layer.replay.simulator.clock import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, from_ms, iso_text
from speed_layer.replay.simulator.config import SimulatorConfig
from speed_layer.replay.simulator.devices import Device
from speed_layer.replay.simulator.encode import NO_CONSENT, encode
from speed_layer.replay.simulator.journey import Event, Journey
from speed_layer.replay.simulator.people import Person, message_id
from speed_layer.replay.simulator.truth import OrderTruth, SessionTruth, Truth

LATE_MS: Final = MINUTE_MS
_SHORTEST_LATENESS_MS: Final = 2 * MINUTE_MS
_LATEST_REPEAT_SECONDS: Final = 60
_LONGEST_LATENESS_MS: Final = 26 * HOUR_MS
_APP_FLUSH_MS: Final = 15 * SECOND_MS
_COPY_SECONDS: Final = (2.0, 900.0)
_OTHER_TOTAL_SHARE: Final = 0.3
# 2099-01-01: representable everywhere, and nobody's today.
_FAR_FUTURE_MS: Final = 47_117 * DAY_MS

Post = Callable[[int, bytes, Device], None]


@dataclass(slots=True)
class _Parcel:
    """One visit on its way: from `offline_from_ms` on its events wait until `online_again_ms`."""

    journey: Journey
    person: Person
    device: Device
    has_consent: bool
    offline_from_ms: int
    online_again_ms: int
    last_ms: int = 0
    event_count: int = 0


class _Sent(NamedTuple):
    event: Event
    own_id: str
    raw: bytes
    send_ms: int


class Delivery:
    """Sends visits through `post(send_at_ms, raw, device)` and keeps the truth.

    Two sets of dice: `world` rolls what a perfect client would also send (the ids), `dirt` all that goes wrong, so
    that the rates of dirt do not change the world.
    """

    def __init__(self, config: SimulatorConfig, world: Random, dirt: Random, truth: Truth, post: Post) -> None:
        self._config, self._world, self._dirt, self._truth, self._post = config, world, dirt, truth, post
        rates = (config.copy_rate, config.broken_rate, config.odd_clock_rate, config.synthetic_rate)
        self._copy_edge, self._broken_edge, self._odd_edge, self._synthetic_edge = accumulate(rates)

    def deliver(self, journey: Journey, person: Person, device: Device) -> None:
        """Send every event of the visit, and whatever goes wrong with it."""
        parcel = self._pack(journey, person, device)
        for event in journey.events:
            sent = self._send(parcel, event, message_id(self._world))
            luck = self._dirt.random()
            if luck < self._synthetic_edge:
                self._spoil(parcel, sent, luck)
        for order in journey.orders:
            self._record_order(parcel, order, self._maybe_repeat(parcel, order))
        for refund in journey.refunds:
            self._truth.add_refund(refund.order_id, refund.value_minor)
            if parcel.has_consent:
                self._truth.refunds_minor[person.country.currency] += refund.value_minor
        self._record_session(parcel)

    def _pack(self, journey: Journey, person: Person, device: Device) -> _Parcel:
        dirt, config = self._dirt, self._config
        has_consent = dirt.random() >= config.no_consent_rate
        parcel = _Parcel(journey, person, device, has_consent, offline_from_ms=2**62, online_again_ms=0)
        if device.model.kind in ("mobile", "app") and dirt.random() < config.late_rate:
            first_late_ms = dirt.choice(journey.events).at_ms
            end_ms = journey.events[-1].at_ms + _LATEST_REPEAT_SECONDS * SECOND_MS
            shortest = end_ms - first_late_ms + _SHORTEST_LATENESS_MS
            parcel.offline_from_ms = first_late_ms
            parcel.online_again_ms = first_late_ms + max(shortest, self._log_uniform(shortest, _LONGEST_LATENESS_MS))
        return parcel

    def _send(self, parcel: _Parcel, event: Event, own_id: str, timestamp_ms: int | None = None) -> _Sent:
        truth, device = self._truth, parcel.device
        consent = "" if parcel.has_consent else NO_CONSENT
        stamp_ms = event.at_ms if timestamp_ms is None else timestamp_ms
        raw = encode(event, device, own_id, iso_text(stamp_ms), consent).encode()
        send_ms = self._send_ms(parcel, event.at_ms)
        self._post(send_ms, raw, device)
        truth.counters.unique_count += 1
        if parcel.has_consent:
            truth.events[event.name] += 1
        else:
            truth.counters.no_consent_count += 1
        if timestamp_ms is None:
            parcel.event_count += 1
            parcel.last_ms = max(parcel.last_ms, stamp_ms)
            truth.counters.late_count += send_ms - stamp_ms > LATE_MS
        return _Sent(event, own_id, raw, send_ms)

    def _send_ms(self, parcel: _Parcel, at_ms: int) -> int:
        online_ms = parcel.online_again_ms if at_ms >= parcel.offline_from_ms else at_ms
        # Apps collect events and flush them; a browser sends each at once.
        delay_ms = _APP_FLUSH_MS if parcel.device.model.kind == "app" else 400
        return online_ms + 30 + int(self._dirt.random() * delay_ms)

    def _spoil(self, parcel: _Parcel, sent: _Sent, luck: float) -> None:
        event = sent.event
        if luck < self._copy_edge:
            self._send_copies(parcel, sent)
        elif luck < self._broken_edge:
            reason, broken = broken_message(self._dirt, event, parcel.device)
            self._truth.broken[reason] += 1
            self._post(sent.send_ms, broken, parcel.device)
        elif luck < self._odd_edge:
            self._send_odd(parcel)
        elif not event.name.startswith("Order"):
            # A second report of an order under one id would leave its value to chance.
            self._truth.counters.synthetic_count += 1
            self._send(parcel, event._replace(body=event.body.replace("{", '{"variant":"b",', 1)), sent.own_id)

    def _send_copies(self, parcel: _Parcel, sent: _Sent) -> None:
        low, high = _COPY_SECONDS
        for _ in range(self._dirt.choice((1, 1, 1, 1, 2, 3))):
            self._truth.counters.copy_count += 1
            self._post(sent.send_ms + self._log_uniform(low * SECOND_MS, high * SECOND_MS), sent.raw, parcel.device)

    def _send_odd(self, parcel: _Parcel) -> None:
        dirt, landing, device = self._dirt, parcel.journey.events[0], parcel.device
        # Two hours apart: each is a session of its own, and the truth can say so without looking back.
        odd_ms = device.odd_clock_count * 2 * HOUR_MS + (0 if dirt.random() < 0.5 else _FAR_FUTURE_MS)
        device.odd_clock_count += 1
        self._truth.counters.odd_clock_count += 1
        self._send(parcel, landing, message_id(dirt), odd_ms)
        self._truth.add(self._session(parcel, odd_ms, odd_ms, event_count=1, is_odd_clock=True))
        self._truth.counters.session_count += parcel.has_consent

    def _maybe_repeat(self, parcel: _Parcel, order: Order) -> int:
        dirt = self._dirt
        if dirt.random() >= self._config.repeated_order_rate:
            return 0
        other = dirt.random() < _OTHER_TOTAL_SHARE
        members = order.members_with_total(order.value_minor + 100) if other else order.members
        later_ms = order.at_ms + dirt.randrange(1, _LATEST_REPEAT_SECONDS) * SECOND_MS
        event = parcel.journey.events[order.event_index]
        self._send(parcel, event._replace(at_ms=later_ms, body=f'"properties":{{{members}}}'), message_id(dirt))
        self._truth.counters.repeated_order_count += parcel.has_consent
        return 1

    def _record_order(self, parcel: _Parcel, order: Order, repeat_count: int) -> None:
        self._truth.add(
            OrderTruth(
                order_id=order.order_id,
                visitor=parcel.device.anonymous_id,
                session_start=from_ms(parcel.journey.events[0].at_ms),
                at=from_ms(order.at_ms),
                value_minor=order.value_minor,
                currency=order.currency,
                line_count=order.line_count,
                repeat_count=repeat_count,
                has_consent=parcel.has_consent,
            )
        )
        if parcel.has_consent:
            self._truth.counters.order_count += 1
            self._truth.revenue_minor[order.currency] += order.value_minor

    def _record_session(self, parcel: _Parcel) -> None:
        start_ms = parcel.journey.events[0].at_ms
        self._truth.add(self._session(parcel, start_ms, parcel.last_ms, parcel.event_count, is_odd_clock=False))
        self._truth.counters.session_count += parcel.has_consent

    def _session(
        self, parcel: _Parcel, start_ms: int, last_ms: int, event_count: int, *, is_odd_clock: bool
    ) -> SessionTruth:
        journey, person, device = parcel.journey, parcel.person, parcel.device
        return SessionTruth(
            visitor=device.anonymous_id,
            person_id=person.person_id,
            start=from_ms(start_ms),
            last=from_ms(last_ms),
            event_count=event_count,
            channel=journey.arrival.channel,
            source=journey.arrival.source,
            medium=journey.arrival.medium,
            campaign=journey.arrival.campaign,
            entry_page=journey.entry,
            exit_page=journey.entry if is_odd_clock else journey.exit,
            steps=[] if is_odd_clock else list(journey.steps),
            is_converted=bool(journey.orders) and not is_odd_clock,
            is_bot=person.is_bot,
            is_takeover=device.is_takeover,
            is_odd_clock=is_odd_clock,
            has_consent=parcel.has_consent,
            readiness=round(journey.readiness, 4),
        )

    def _log_uniform(self, low: float, high: float) -> int:
        return int(exp(self._dirt.uniform(log(low), log(high))))
