"""The simulated shop: the same bytes every time, in order, and a truth that the messages bear out."""

from __future__ import annotations

import ipaddress
import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import islice, pairwise
from pathlib import Path
from random import Random
from typing import Any

import pytest

from contracts.envelope import Refused, Stamp, enter
from contracts.privacy import InstallationKeys
from contracts.reasons import Reason
from speed_layer.replay.message import SourceMessage, SourceOptionInvalid
from speed_layer.replay.simulator import (
    OrderTruth,
    PersonTruth,
    SessionTruth,
    SimulatorConfig,
    Truth,
    estimated_message_count,
    read_truth,
    simulate,
)
from speed_layer.replay.simulator.clock import HOUR_MS, MINUTE_MS, from_ms, iso_text, spread, to_ms
from speed_layer.replay.simulator.people import Population
from speed_layer.replay.simulator.places import COUNTRIES, home_ip, networks
from speed_layer.replay.simulator.shop import Shop, money_text

KEYS = InstallationKeys(b"secret", b"an attribute key")
GAP = timedelta(minutes=30)
# More dirt than by default, so that a small world has some of every kind.
DIRTY = SimulatorConfig(
    visitors=900,
    days=4,
    takeover_rate=0.3,
    copy_rate=0.03,
    late_rate=0.2,
    broken_rate=0.02,
    odd_clock_rate=0.004,
    synthetic_rate=0.01,
    no_consent_rate=0.05,
    repeated_order_rate=0.4,
)
# What the entrance sees; the other reasons are found when a record is parsed.
ENTRANCE_REASONS = {
    Reason.NOT_JSON,
    Reason.INVALID_UTF8,
    Reason.WRONG_TYPE,
    Reason.MISSING_ID,
    Reason.ILLEGAL_ID,
    Reason.UNKNOWN_TYPE,
}


@dataclass
class World:
    """One exhausted world: its messages, its truth, and the messages recounted."""

    messages: list[SourceMessage]
    truth: Truth
    sound: list[tuple[SourceMessage, dict[str, Any]]] = field(default_factory=list)
    copy_count: int = 0
    broken_count: int = 0

    def counted(self) -> list[dict[str, Any]]:
        """Sound messages, once each, whose sender agrees to analysis."""
        return [message for _, message in self.sound if has_consent(message)]


def run(config: SimulatorConfig) -> World:
    truth = Truth()
    world = World(list(simulate(config, truth)), truth)
    seen: set[bytes] = set()
    for message in world.messages:
        read = readable(message.raw)
        if read is None:
            world.broken_count += 1
        elif message.raw in seen:
            world.copy_count += 1
        else:
            world.sound.append((message, read))
        seen.add(message.raw)
    return world


def readable(raw: bytes) -> dict[str, Any] | None:
    """The message, if it breaks none of the rules that the simulator knows to break."""
    try:
        message: dict[str, Any] = json.loads(raw, parse_float=Decimal)
        at = datetime.fromisoformat(message["timestamp"])
        properties = message.get("properties", {})
        is_sound = (
            isinstance(message["anonymousId"], str)
            and message["anonymousId"] not in ("null", "undefined")
            and message["type"] in ("page", "screen", "track", "identify")
            and (message["type"] != "track" or "event" in message)
            and isinstance(properties, dict)
            and Decimal(properties.get("total", 0)).as_tuple().exponent >= -2  # type: ignore[operator]
        )
    except (ValueError, KeyError, TypeError):
        return None
    return message | {"at": at} if is_sound else None


def has_consent(message: dict[str, Any]) -> bool:
    return bool(message["context"].get("consent") != {"analyse": False})


def is_odd(message: dict[str, Any]) -> bool:
    return message["at"].year not in (2025, 2026)


def name_of(message: dict[str, Any]) -> str:
    return str(message.get("event", message["type"]))


@pytest.fixture(scope="module")
def dirty() -> World:
    return run(DIRTY)


@pytest.fixture(scope="module")
def clean() -> World:
    return run(DIRTY.without_dirt())


def test_same_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    config = SimulatorConfig(visitors=60, days=1)
    once, again = list(simulate(config)), list(simulate(config))
    other = list(simulate(SimulatorConfig(visitors=60, days=1, seed=8)))
    assert once == again
    assert {message.raw for message in once}.isdisjoint(message.raw for message in other)


def test_messages_come_in_the_order_they_are_sent(dirty: World) -> None:
    assert all(a.send_at <= b.send_at for a, b in pairwise(dirty.messages))
    assert dirty.messages[0].send_at >= DIRTY.start
    assert all(m.sent_at and datetime.fromisoformat(m.sent_at) == m.send_at for m in dirty.messages)


def test_no_message_is_sent_before_it_happened(dirty: World) -> None:
    assert all(message.send_at > read["at"] for message, read in dirty.sound if not is_odd(read))


def test_first_message_of_a_huge_world_comes_at_once() -> None:
    assert len(list(islice(simulate(SimulatorConfig(visitors=1_000_000, days=30)), 100))) == 100


def test_truth_adds_up_to_what_was_sent(dirty: World) -> None:
    counters = dirty.truth.summary()
    assert dirty.truth.is_complete
    assert counters.message_count == len(dirty.messages)
    assert counters.unique_count == len(dirty.sound)
    assert counters.copy_count == dirty.copy_count
    assert sum(counters.broken.values()) == dirty.broken_count
    assert counters.no_consent_count == len(dirty.sound) - len(dirty.counted())
    assert counters.events == dict(sorted(Counter(map(name_of, dirty.counted())).items()))


def test_truth_counts_the_dirt_that_is_there(dirty: World) -> None:
    counters = dirty.truth.summary()
    late = [read for sent, read in dirty.sound if sent.send_at - read["at"] > timedelta(minutes=1) and not is_odd(read)]
    ids = Counter(read["messageId"] for _, read in dirty.sound)
    orders = Counter(m["properties"]["order_id"] for m in dirty.counted() if name_of(m) == "Order Completed")
    assert counters.late_count == len(late) > 50
    assert counters.odd_clock_count == sum(is_odd(read) for _, read in dirty.sound) > 5
    assert counters.synthetic_count == sum(count - 1 for count in ids.values()) > 20
    assert counters.repeated_order_count == sum(count - 1 for count in orders.values()) > 2
    assert counters.copy_count > 100
    assert counters.no_consent_count > 100


def test_late_events_are_minutes_to_26_hours_late(dirty: World) -> None:
    delays = [sent.send_at - read["at"] for sent, read in dirty.sound if not is_odd(read)]
    late = [delay for delay in delays if delay > timedelta(minutes=1)]
    assert min(late) >= timedelta(minutes=2)
    assert timedelta(hours=4) < max(late) <= timedelta(hours=26, minutes=1)


def test_copies_follow_within_minutes(dirty: World) -> None:
    sent: dict[bytes, datetime] = {}
    waits = [m.send_at - sent.setdefault(m.raw, m.send_at) for m in dirty.messages if readable(m.raw)]
    copies = [wait for wait in waits if wait]
    assert timedelta(seconds=2) <= min(copies)
    assert max(copies) <= timedelta(minutes=15)


def test_entrance_refuses_the_broken_ones_for_their_reason_and_no_other(dirty: World) -> None:
    refused: Counter[Reason | None] = Counter()
    for message in dirty.messages:
        entered = enter(message.raw, None, Stamp("2025-09-01T00:00:00Z"), KEYS)
        if isinstance(entered, Refused):
            refused[entered.reason] += 1
    expected = {reason: dirty.truth.broken[reason] for reason in ENTRANCE_REASONS}
    assert refused == expected
    assert all(expected.values())


def test_sessions_are_those_of_a_gap_of_30_minutes(dirty: World) -> None:
    times: dict[str, list[datetime]] = defaultdict(list)
    for message in dirty.counted():
        times[message["anonymousId"]].append(message["at"])
    found = {session for visitor, ats in times.items() for session in sessions_of(visitor, sorted(ats))}
    truth = [s for s in dirty.truth.sessions() if s.has_consent]
    assert {(s.visitor, s.start, s.last, s.event_count) for s in truth} == found
    assert len(truth) == len(found) == dirty.truth.counters.session_count


def sessions_of(visitor: str, times: list[datetime]) -> list[tuple[str, datetime, datetime, int]]:
    starts = [0, *(i + 1 for i, (a, b) in enumerate(pairwise(times)) if b - a > GAP), len(times)]
    return [(visitor, times[i], times[j - 1], j - i) for i, j in pairwise(starts)]


def test_entry_exit_source_and_steps_are_borne_out(clean: World) -> None:
    by_visitor: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for message in clean.counted():
        by_visitor[message["anonymousId"]].append(message)
    for session in clean.truth.sessions():
        inside = [m for m in by_visitor[session.visitor] if session.start <= m["at"] <= session.last]
        inside.sort(key=lambda m: m["at"])
        pages = [m["properties"]["path"] for m in inside if m["type"] in ("page", "screen")]
        names = {name_of(m) for m in inside}
        assert (session.entry_page, session.exit_page) == (pages[0], pages[-1])
        assert inside[0]["context"].get("campaign", {}).get("name") == session.campaign
        assert session.is_converted == ("Order Completed" in names) == ("purchase" in session.steps)
        assert ("Product Added" in names) == ("cart" in session.steps)


def test_orders_are_worth_what_the_design_says(dirty: World) -> None:
    first: dict[str, dict[str, Any]] = {}
    for message in sorted(dirty.counted(), key=lambda m: m["at"]):
        if name_of(message) == "Order Completed":
            first.setdefault(message["properties"]["order_id"], message["properties"])
    truth = {order.order_id: (order.value_minor, order.currency) for order in dirty.truth.orders() if order.has_consent}
    assert {order_id: (value_of(order), order["currency"]) for order_id, order in first.items()} == truth
    assert len(truth) == dirty.truth.counters.order_count > 20
    assert {currency for _, currency in truth.values()} == {"EUR", "USD"}
    revenue: Counter[str] = Counter()
    for minor, currency in truth.values():
        revenue[currency] += minor
    assert dirty.truth.summary().revenue_minor == revenue


def value_of(order: dict[str, Any]) -> int:
    lines = sum(line["price"] * line["quantity"] for line in order["products"])
    return int(Decimal(order.get("total", order.get("revenue", lines))) * 100)


def test_refunds_are_reported_and_remembered(dirty: World) -> None:
    reported: Counter[str] = Counter()
    for _, message in dirty.sound:
        if name_of(message) == "Order Refunded":
            reported[message["properties"]["order_id"]] += int(Decimal(message["properties"]["total"]) * 100)
    refunded = {order.order_id: order.refunded_minor for order in dirty.truth.orders() if order.is_refunded}
    assert refunded == reported
    assert refunded


def test_dirt_does_not_change_the_world(dirty: World, clean: World) -> None:
    def bought(world: World) -> list[tuple[str, str, int]]:
        return [(order.order_id, order.visitor, order.value_minor) for order in world.truth.orders()]

    assert bought(dirty) == bought(clean)
    assert list(dirty.truth.people()) == list(clean.truth.people())
    assert {m["messageId"] for _, m in clean.sound} <= {m["messageId"] for _, m in dirty.sound}


def test_clean_world_is_clean(clean: World) -> None:
    counters = clean.truth.summary()
    assert counters.message_count == counters.unique_count == sum(counters.events.values())
    assert counters.copy_count == counters.late_count == counters.odd_clock_count == 0
    assert counters.synthetic_count == counters.no_consent_count == counters.repeated_order_count == 0
    assert counters.broken == {}


def test_amounts_have_at_most_two_decimals_and_a_currency(clean: World) -> None:
    digits = [
        -Decimal(properties[name]).as_tuple().exponent  # type: ignore[operator]
        for properties in (m.get("properties", {}) for _, m in clean.sound)
        for name in ("price", "total", "revenue", "tax", "shipping", "value", "discount")
        if name in properties
    ]
    assert 0 <= max(digits) <= 2
    priced = [m["properties"] for _, m in clean.sound if "price" in m.get("properties", {})]
    assert all(properties["currency"] in ("EUR", "USD") for properties in priced)


def test_vocabulary_covers_the_whole_way_to_a_refund(clean: World) -> None:
    assert set(clean.truth.events) == {
        "Cart Viewed",
        "Checkout Started",
        "Checkout Step Completed",
        "Order Completed",
        "Order Refunded",
        "Payment Info Entered",
        "Product Added",
        "Product List Viewed",
        "Product Removed",
        "Product Viewed",
        "Products Searched",
        "identify",
        "page",
        "screen",
    }


def test_bots_buy_nothing_and_only_some_say_what_they_are(clean: World) -> None:
    bots = {visitor: person for person in clean.truth.people() if person.is_bot for visitor in person.visitors}
    assert {person.kind for person in bots.values()} == {"declared_bot", "undeclared_bot"}
    agents = {m["anonymousId"]: m["context"]["userAgent"] for _, m in clean.sound if m["anonymousId"] in bots}
    for visitor, agent in agents.items():
        assert ("ot/" in agent) == (bots[visitor].kind == "declared_bot")
    assert not any(session.is_converted for session in clean.truth.sessions() if session.is_bot)
    assert {sent.user_agent for sent, _ in clean.sound} == {m["context"]["userAgent"] for _, m in clean.sound}


def test_identified_people_own_every_visitor_that_carries_their_id(clean: World) -> None:
    people = {person.user_id: person for person in clean.truth.people() if person.user_id}
    carried: dict[str, set[str]] = defaultdict(set)
    for _, message in clean.sound:
        if "userId" in message:
            carried[message["userId"]].add(message["anonymousId"])
    assert carried.keys() == people.keys()
    assert all(visitors <= set(people[user_id].visitors) for user_id, visitors in carried.items())
    assert any(len(visitors) > 1 for visitors in carried.values())


def test_nobody_returns_before_a_session_would_have_ended() -> None:
    config = SimulatorConfig(declared_bot_rate=0, undeclared_bot_rate=0)
    population = Population(config, Random(1), category_count=1)
    returns = [population.next_visit_ms(population.newcomer(0), HOUR_MS) for _ in range(20_000)]
    assert min(at for at in returns if at) - HOUR_MS >= 35 * MINUTE_MS


def test_takeovers_come_from_a_visitor_of_their_own(clean: World) -> None:
    taken = [person for person in clean.truth.people() if person.is_taken_over]
    marked = {session.visitor for session in clean.truth.sessions() if session.is_takeover}
    assert taken
    assert {person.takeover_visitor for person in taken} == marked


def test_popularity_is_steep_and_the_evening_is_busy(clean: World) -> None:
    viewed = Counter(m["properties"]["product_id"] for _, m in clean.sound if name_of(m) == "Product Viewed")
    assert len(viewed) > 150
    assert sum(count for _, count in viewed.most_common(20)) > 0.3 * viewed.total()
    hours = Counter(s.start.hour for s in clean.truth.sessions() if not s.is_bot)
    assert sum(hours[h] for h in range(17, 22)) > 2 * sum(hours[h] for h in range(3, 8))


def test_readiness_foretells_purchases(clean: World) -> None:
    humans = [session for session in clean.truth.sessions() if not session.is_bot]
    ready = [session.is_converted for session in humans if session.readiness > 0.6]
    looking = [session.is_converted for session in humans if session.readiness < 0.3]
    assert sum(ready) / len(ready) > 2 * sum(looking) / len(looking)


def test_events_target_is_met_within_one_visit_and_the_truth_still_adds_up() -> None:
    world = run(SimulatorConfig(events_target=20_000, days=7))
    assert 20_000 <= len(world.messages) <= 20_400
    counters = world.truth.summary()
    assert counters.message_count == len(world.messages)
    counted = sum(s.event_count for s in world.truth.sessions() if s.has_consent)
    assert counted == counters.unique_count - counters.no_consent_count


def test_estimate_is_near(dirty: World) -> None:
    assert estimated_message_count(DIRTY) == pytest.approx(len(dirty.messages), rel=0.3)


def test_truth_is_written_and_read_back(dirty: World, tmp_path: Path) -> None:
    path = tmp_path / "truth.jsonl"
    dirty.truth.write(path)
    counters, records = read_truth(path)
    read = list(records)
    assert counters == dirty.truth.summary()
    assert read == list(dirty.truth.records())
    assert {type(record) for record in read} == {PersonTruth, SessionTruth, OrderTruth}


def test_truth_may_be_read_while_it_grows() -> None:
    truth = Truth()
    order = OrderTruth("o", "v", DIRTY.start, DIRTY.start, 1, "USD", 1, 0, has_consent=True)
    for _ in range(12_000):
        truth.add(order)
    reading = truth.orders()
    first = next(reading)
    truth.add_refund("o", 1)
    truth.add(order)
    assert (first.is_refunded, next(reading).refunded_minor) == (False, 1)
    assert sum(1 for _ in reading) == 11_998
    assert sum(1 for _ in truth.orders()) == 12_001


@pytest.mark.parametrize(
    "options",
    [
        {"visitors": 0},
        {"days": 0},
        {"copy_rate": 1.5},
        {"late_rate": -0.1},
        {"start": DIRTY.start.replace(tzinfo=None)},
        {"visitors": 5, "events_target": 5},
    ],
)
def test_impossible_world_is_refused_with_a_remedy(options: dict[str, Any]) -> None:
    with pytest.raises(SourceOptionInvalid) as caught:
        SimulatorConfig(**options)
    assert caught.value.remedy


@pytest.mark.parametrize("text", ["1970-01-01T00:00:00.000Z", "2024-02-29T23:59:59.999Z", "2099-12-31T08:05:00.070Z"])
def test_time_survives_its_text(text: str) -> None:
    ms = to_ms(datetime.fromisoformat(text))
    assert iso_text(ms) == text
    assert from_ms(ms) == datetime.fromisoformat(text)


def test_spread_follows_the_weights() -> None:
    moments = list(spread(Random(1), 1_000, [1.0, 0.0, 3.0], HOUR_MS))
    assert moments == sorted(moments)
    assert Counter(ms // HOUR_MS for ms in moments) == {1: 250, 3: 750}


@pytest.mark.parametrize(("minor", "text"), [(1999, "19.99"), (2050, "20.5"), (2000, "20"), (7, "0.07"), (0, "0")])
def test_money_is_written_as_javascript_would(minor: int, text: str) -> None:
    assert money_text(minor) == text


def test_addresses_lie_in_their_countrys_blocks_and_no_real_network() -> None:
    rng = Random(1)
    for country in COUNTRIES:
        blocks = [ipaddress.ip_network(block) for block in networks(country)]
        for _ in range(50):
            address = ipaddress.ip_address(home_ip(rng, country))
            assert any(address in block for block in blocks)
            assert address.is_private


def test_shop_has_about_200_products_with_two_prices() -> None:
    shop = Shop(Random(1))
    assert 190 <= len(shop.products) <= 220
    assert len({product.product_id for product in shop.products}) == len(shop.products)
    assert all(product.price_minor["EUR"] < product.price_minor["USD"] for product in shop.products)
