"""Runs a world: people come, visits become messages, messages leave in the order they are sent."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterator
from heapq import heappop, heappush
from math import ceil, sqrt
from random import Random
from typing import Final

from speed_layer.replay.message import SourceMessage
from speed_layer.replay.simulator.arrivals import CART_MAIL, DIRECT, Arrival, pick_arrival
from speed_layer.replay.simulator.clock import DAY_MS, HOUR_MS, from_ms, iso_text, spread, to_ms
from speed_layer.replay.simulator.config import DEFAULT_VISITORS, SimulatorConfig
from speed_layer.replay.simulator.delivery import Delivery
from speed_layer.replay.simulator.devices import Device
from speed_layer.replay.simulator.journey import Journey
from speed_layer.replay.simulator.people import Person, Population
from speed_layer.replay.simulator.places import busy
from speed_layer.replay.simulator.shop import Shop
from speed_layer.replay.simulator.truth import PersonTruth, Truth

_CART_MAIL_SHARE: Final = 0.3
# Messages a visitor sends in a world of so many days, measured: longer worlds see more return visits.
_MESSAGES_PER_VISITOR: Final = ((1, 10.2), (2, 11.9), (4, 14.0), (7, 15.3), (14, 17.0), (30, 18.4), (60, 18.6))


def messages_per_visitor(days: int) -> float:
    """How many messages a visitor of a world that long sends on average, within a few per cent."""
    lengths = [length for length, _ in _MESSAGES_PER_VISITOR]
    at = bisect(lengths, days)
    if at in (0, len(lengths)):
        return _MESSAGES_PER_VISITOR[min(at, len(lengths) - 1)][1]
    (low, few), (high, many) = _MESSAGES_PER_VISITOR[at - 1 : at + 1]
    return few + (many - few) * (days - low) / (high - low)


def visitor_count(config: SimulatorConfig) -> int:
    """How many people and bots come: as configured, or enough for `events_target`."""
    if config.events_target is not None:
        count = config.events_target / messages_per_visitor(config.days)
        # Some more than the mean asks for (the few bots send much), so that the target is reached.
        return ceil(count * 1.02 + 4 * sqrt(count))
    return config.visitors or DEFAULT_VISITORS


def estimated_message_count(config: SimulatorConfig) -> int:
    """About how many messages the world sends, for a progress bar."""
    return config.events_target or round(visitor_count(config) * messages_per_visitor(config.days))


class World:
    """One run of a world. `messages` can be iterated once."""

    def __init__(self, config: SimulatorConfig, truth: Truth) -> None:
        self._config, self._truth = config, truth
        self._rng = Random(f"tidemark/{config.seed}/world")
        self._shop = Shop(Random(f"tidemark/{config.seed}/shop"))
        self._population = Population(config, self._rng, len(self._shop.categories))
        dirt = Random(f"tidemark/{config.seed}/dirt")
        self._delivery = Delivery(config, self._rng, dirt, truth, self._post)
        self._start_ms = to_ms(config.start)
        self._end_ms = self._start_ms + config.days * DAY_MS
        # (when, tie-breaker, who); None stands for the next newcomer.
        self._visits: list[tuple[int, int, Person | None]] = []
        self._outbox: list[tuple[int, int, bytes, Device]] = []
        self._pushed = 0

    def messages(self) -> Iterator[SourceMessage]:
        """Every message, in the order of `send_at`. The truth is complete when they are exhausted."""
        newcomers = self._newcomer_times()
        self._expect(next(newcomers, None), None)
        visits, outbox = self._visits, self._outbox
        while visits or outbox:
            while visits and (not outbox or visits[0][0] <= outbox[0][0]):
                at_ms, _, person = heappop(visits)
                if person is None:
                    self._expect(next(newcomers, None), None)
                    person = self._population.newcomer(at_ms)
                self._visit(person, at_ms)
            if outbox:
                yield self._sent(*heappop(outbox))
        self._truth.is_complete = True

    def _newcomer_times(self) -> Iterator[int]:
        hours = [busy(self._start_ms + hour * HOUR_MS) for hour in range(self._config.days * 24)]
        return spread(self._rng, visitor_count(self._config), hours, self._start_ms)

    def _expect(self, at_ms: int | None, person: Person | None) -> bool:
        if at_ms is None or at_ms >= self._end_ms or self._is_full():
            return False
        heappush(self._visits, (at_ms, self._tie_breaker(), person))
        return True

    def _visit(self, person: Person, at_ms: int) -> None:
        if self._is_full():
            self._retire(person)
            return
        device = self._population.device_for_visit(person)
        journey = Journey(self._rng, self._shop, person, device, self._arrival(person, device)).walk(at_ms)
        person.visit_count += 1
        self._delivery.deliver(journey, person, device)
        if not self._expect(self._population.next_visit_ms(person, journey.events[-1].at_ms), person):
            self._retire(person)

    def _arrival(self, person: Person, device: Device) -> Arrival:
        if person.is_bot or person.refund is not None or device.model.kind == "app" or device.is_takeover:
            return DIRECT
        if person.cart and person.is_identified and self._rng.random() < _CART_MAIL_SHARE:
            return CART_MAIL
        return pick_arrival(self._rng)

    def _retire(self, person: Person) -> None:
        if person.visit_count == 0:
            return
        thieves = [device.anonymous_id for device in person.devices if device.is_takeover]
        self._truth.add(
            PersonTruth(
                person_id=person.person_id,
                kind=person.kind,
                is_bot=person.is_bot,
                country=person.country.code,
                visitors=[device.anonymous_id for device in person.devices],
                devices=[device.model.name for device in person.devices],
                user_id=person.user_id if person.is_identified else None,
                is_taken_over=person.is_taken_over,
                takeover_visitor=thieves[0] if thieves else None,
            )
        )

    def _is_full(self) -> bool:
        target = self._config.events_target
        return target is not None and self._truth.counters.message_count >= target

    def _post(self, send_ms: int, raw: bytes, device: Device) -> None:
        self._truth.counters.message_count += 1
        heappush(self._outbox, (send_ms, self._tie_breaker(), raw, device))

    def _tie_breaker(self) -> int:
        self._pushed += 1
        return self._pushed

    @staticmethod
    def _sent(send_ms: int, _order: int, raw: bytes, device: Device) -> SourceMessage:
        return SourceMessage(raw, from_ms(send_ms), iso_text(send_ms), device.ip, device.model.user_agent)
