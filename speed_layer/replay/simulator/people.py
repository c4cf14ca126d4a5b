"""Who visits the shop, on which devices, and when they come back."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import log
from random import Random
from typing import Final, Literal

from speed_layer.replay.simulator.clock import HOUR_MS, MINUTE_MS, PEAK, intensity
from speed_layer.replay.simulator.config import SimulatorConfig
from speed_layer.replay.simulator.devices import DECLARED_BOTS, Device, pick_disguise, pick_model
from speed_layer.replay.simulator.places import Country, bot_ip, country_at, home_ip
from speed_layer.replay.simulator.shop import Product

PersonKind = Literal["human", "declared_bot", "undeclared_bot"]
# Longer than the 30 minutes that end a session, by more than dirt may lengthen a visit.
SHORTEST_ABSENCE_MS: Final = 35 * MINUTE_MS
_CUSTOMER_SHARE: Final = 0.35
_ROAMER_SHARE: Final = 0.6
_OTHER_DEVICE_SHARE: Final = 0.5
_MOST_DEVICES: Final = 3
_MEDIAN_ABSENCE_MS: Final = 16 * HOUR_MS
_BOT_RETURN_SHARE: Final = 0.6


@dataclass(frozen=True, slots=True)
class RefundPlan:
    """An order that its buyer will send back, whole or in part."""

    order_id: str
    value_minor: int


@dataclass(slots=True)
class Person:
    """A person or a bot. `user_id` is the account, None without one; `readiness` to buy lies in 0..1."""

    person_id: str
    kind: PersonKind
    country: Country
    devices: list[Device]
    user_id: str | None = None
    readiness: float = 0.0
    favourite: int | None = None
    is_roamer: bool = False
    is_target: bool = False
    visit_count: int = 0
    is_identified: bool = False
    is_taken_over: bool = False
    refund: RefundPlan | None = None
    cart: list[tuple[Product, int]] = field(default_factory=list)

    @property
    def is_bot(self) -> bool:
        """Whether a program plays this visitor."""
        return self.kind != "human"


def message_id(rng: Random) -> str:
    """A random (version 4) UUID as text, from the world's own dice."""
    digits = f"{rng.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


class Population:
    """Makes people, gives them devices, and says when they return."""

    def __init__(self, config: SimulatorConfig, rng: Random, category_count: int) -> None:
        self._config = config
        self._rng = rng
        self._category_count = category_count
        self._count = 0

    def newcomer(self, at_ms: int) -> Person:
        """Someone whose first visit begins at that moment."""
        self._count += 1
        rng, config, number = self._rng, self._config, f"{self._count:07d}"
        country = country_at(rng, at_ms)
        luck = rng.random()
        if luck < config.declared_bot_rate + config.undeclared_bot_rate:
            return self._bot(number, country, is_declared=luck < config.declared_bot_rate)
        is_customer = rng.random() < _CUSTOMER_SHARE
        return Person(
            person_id=f"person-{number}",
            kind="human",
            country=country,
            devices=[self._device(country)],
            user_id=f"u{number}" if is_customer else None,
            # Squared: most people are just looking.
            readiness=0.1 + 0.75 * rng.random() ** 2,
            favourite=rng.randrange(self._category_count),
            is_roamer=is_customer and rng.random() < _ROAMER_SHARE,
            is_target=is_customer and rng.random() < config.takeover_rate,
        )

    def device_for_visit(self, person: Person) -> Device:
        """The device this visit is made from; a thief brings another, from another country."""
        rng = self._rng
        if _is_takeover(person):
            person.is_taken_over = True
            person.devices.append(self._device(country_at(rng, rng.randrange(24) * HOUR_MS)))
            person.devices[-1].is_takeover = True
            return person.devices[-1]
        if person.is_roamer and person.is_identified and rng.random() < _OTHER_DEVICE_SHARE:
            if len(person.devices) < _MOST_DEVICES and rng.random() < _OTHER_DEVICE_SHARE:
                person.devices.append(self._device(person.country))
            return rng.choice(person.devices)
        return person.devices[0]

    def next_visit_ms(self, person: Person, last_ms: int) -> int | None:
        """When the person comes back after a visit that ended at `last_ms`; None for never."""
        rng = self._rng
        if person.is_taken_over:
            return None
        if person.is_bot:
            return last_ms + rng.randrange(2, 30) * HOUR_MS if rng.random() < _BOT_RETURN_SHARE else None
        if person.refund is not None:
            return last_ms + rng.randrange(2, 72) * HOUR_MS
        pull = 0.25 + 0.4 * person.readiness + 0.15 * bool(person.cart) + 0.15 * (person.user_id is not None)
        if rng.random() >= pull and not _is_takeover(person):
            return None
        return self._waking_hour(person, last_ms)

    def _waking_hour(self, person: Person, last_ms: int) -> int:
        rng = self._rng
        for _ in range(6):
            absence = rng.lognormvariate(log(_MEDIAN_ABSENCE_MS), 1.1)
            at_ms = last_ms + SHORTEST_ABSENCE_MS + int(absence)
            if rng.random() * PEAK < intensity(at_ms, person.country.utc_offset_hours):
                break
        return at_ms

    def _device(self, country: Country) -> Device:
        rng = self._rng
        return Device(message_id(rng), pick_model(rng), country, home_ip(rng, country))

    def _bot(self, number: str, country: Country, *, is_declared: bool) -> Person:
        rng = self._rng
        model = pick_model(rng, DECLARED_BOTS) if is_declared else pick_disguise(rng)
        device = Device(message_id(rng), model, country, bot_ip(rng, is_declared=is_declared))
        kind: PersonKind = "declared_bot" if is_declared else "undeclared_bot"
        return Person(f"person-{number}", kind, country, [device])


def _is_takeover(person: Person) -> bool:
    return person.is_target and person.is_identified and not person.is_taken_over and person.refund is None
