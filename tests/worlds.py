"""Random worlds: what a few visitors did, what their clients sent, and what Kafka then holds.

`worlds()` draws one, `records(world)` enters its messages as the collector does and gives the rows of the log.

A world is several *shops* side by side: small worlds with visitors, products and orders of their own in one log. A
query over a small world is planned for milliseconds and runs for microseconds, so one example checks a few at once.
"""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
from hypothesis import strategies as st

from contracts.envelope import KEY_HEADER, Entered, Refused, Stamp, enter, record_key
from contracts.fields import BRONZE
from contracts.settings import Settings

LOG: Final = 1
SHOPS: Final = 8
SECRET: Final = b"a secret for tests"
_MORNING: Final = datetime(2024, 2, 29, 23, 20, tzinfo=UTC)
_DAY: Final = timedelta(days=1)
_PLACE: Final = [("log", pa.int32()), ("partition", pa.int32()), ("offset", pa.int64())]
_NUMBER: Final = re.compile(r'"#(-?[0-9][^"]*)"')

EVENT_NAMES: Final = {
    "view": "Product Viewed",
    "cart": "Product Added",
    "cart_remove": "product removed ",
    "purchase": "Order Completed",
    "refund": "Order Refunded",
    "search": "Products Searched",
    "checkout": "Checkout Started",
    "list_view": "Product List Viewed",
    "custom": "Newsletter Signed",
}
KINDS: Final = (*(["view", "cart", "purchase"] * 4), "refund", "page", "screen", "identify", *list(EVENT_NAMES)[2:])

# Steps from a visitor's last event to the next, as (session gaps, microseconds); None: on to the next midnight.
STEPS: Final = (
    *((0, micros) for micros in (0, 1, 1_000, 999_999, 59_999_999, 60_000_000, 600_000_000)),
    *((1, micros) for micros in (0, 0, 1, -1, 1_000, -1_000, 60_000_000)),
    *((-1, micros) for micros in (0, 1, -1)),
    (0, -60_000_000),
    (5, 0),
)
MIDNIGHTS: Final = (None, None, None, None, 0, -1, 1)


@dataclass(frozen=True, slots=True)
class Odd:
    """A value where it does not belong: `place` is the object (message, properties, context) and `name` the field."""

    place: str
    name: str
    value: Any


@dataclass(frozen=True, slots=True, repr=False)
class Act:
    """One thing a visitor does, and how news of it travels. `delay` counts messages that overtake it.

    `copies` are the delays of further copies, and whether the client wrote the message anew (a retry) or sent the same
    bytes. `twin` names an earlier act whose messageId it takes over: a synthetic duplicate.
    """

    visitor: str | int = "ann"
    kind: str = "view"
    step: tuple[int, int] = (0, 0)
    midnight: int | None = None
    product: str | None = "p1"
    amount: str = "1"
    stated: str | None = None
    lines: tuple[tuple[str | None, str, str | None], ...] = ()
    currency: str | None = None
    order: str | None = None
    clock: str = "micros"
    consent: bool | str | None = None
    delay: int = 0
    copies: tuple[tuple[int, bool], ...] = ()
    twin: int | None = None
    odd: Odd | None = None
    header: str = "own"
    scene: str = "none"

    def __repr__(self) -> str:
        said = (f"{f.name}={getattr(self, f.name)!r}" for f in fields(self) if getattr(self, f.name) != f.default)
        return f"Act({', '.join(said)})"


@dataclass(frozen=True, slots=True)
class World:
    """Shops in one log of `partitions`, under `settings`."""

    shops: tuple[tuple[Act, ...], ...]
    partitions: int = 2
    settings: Settings = field(default_factory=Settings)

    @property
    def rules(self) -> dict[str, str]:
        """The settings that change results."""
        return self.settings.rules


@dataclass(frozen=True, slots=True)
class Delivery:
    """A record on its way: `rank` orders arrivals, `header` is `tm-key`."""

    rank: tuple[int, int, int]
    visitor: bytes
    value: bytes | None
    header: bytes | None


def records(world: World) -> pa.Table:
    """What Kafka holds of this world: `fields.BRONZE`, offsets dense per partition, in the order of arrival."""
    arrived = sorted(
        (d for number, shop in enumerate(world.shops) for d in _deliveries(number, shop, world.settings)),
        key=lambda d: d.rank,
    )
    ends = [0] * world.partitions
    rows: list[dict[str, Any]] = []
    for second, delivery in enumerate(arrived):
        partition = zlib.crc32(delivery.visitor) % world.partitions
        at = _MORNING + timedelta(seconds=second)
        rows.append(
            {
                "log": LOG,
                "partition": partition,
                "offset": ends[partition],
                "broker_time": at,
                "key": delivery.visitor,
                "dedupe_key": delivery.header,
                "value": delivery.value,
                "headers": [] if delivery.header is None else [{"key": KEY_HEADER, "value": delivery.header}],
                "broker_date": at.date(),
            }
        )
        ends[partition] += 1
    return pa.Table.from_pylist(rows, BRONZE)


def ends_of(table: pa.Table) -> dict[int, int]:
    """The exclusive end of each partition."""
    ends: dict[int, int] = {}
    for partition, offset in zip(table["partition"].to_pylist(), table["offset"].to_pylist(), strict=True):
        ends[partition] = max(ends.get(partition, 0), offset + 1)
    return ends


def unique(table: pa.Table) -> tuple[pa.Table, pa.Table]:
    """The reference deduplication: the records that are not copies, and those that are.

    A record is a copy where one of a lower name has the same 16 bytes of `tm-key`, whatever became of that one.
    """
    seen: set[bytes] = set()
    first: dict[tuple[int, int, int], bool] = {}
    names = list(zip(*(table[name].to_pylist() for name, _ in _PLACE), strict=True))
    for name, key in sorted(zip(names, table["dedupe_key"].to_pylist(), strict=True), key=lambda row: row[0]):
        valid = key is not None and len(key) == len(record_key("", ""))
        first[name] = not (valid and key in seen)
        if valid:
            seen.add(key)
    is_first = pa.array([first[name] for name in names], pa.bool_())
    return table.filter(is_first), table.filter(pc.invert(is_first))


# -- from an act to what is delivered ------------------------------------------------------------------------------


def _deliveries(shop: int, acts: tuple[Act, ...], settings: Settings) -> Iterator[Delivery]:
    """Every record of one shop. Visitors, orders and message ids are the shop's own; products are sold everywhere."""
    clocks: dict[str | int, datetime] = {}
    for number, act in enumerate(acts):
        at = clocks[act.visitor] = _moment(act, clocks.get(act.visitor, _MORNING), settings.session_gap_seconds)
        twin = number if act.twin is None else act.twin % (number + 1)
        message = _message(shop, act, at, f"m{shop}-{twin}")
        for copy, (delay, is_retry) in enumerate([(act.delay, False), *((act.delay + d, r) for d, r in act.copies)]):
            arrival = number + delay
            sent = message | {"sentAt": f"try {copy}"} if is_retry else message
            raw = json.dumps(sent, indent=1 if is_retry else None)
            received = _iso(_MORNING + timedelta(seconds=60 * arrival + copy), "millis")
            stamp = Stamp(received, **SCENES[act.scene][1])
            if delivered := _entered(_NUMBER.sub(r"\1", raw).encode("utf-8", "surrogatepass"), act, stamp):
                yield Delivery((arrival, shop, number), *delivered)


def _entered(raw: bytes, act: Act, stamp: Stamp) -> tuple[bytes, bytes | None, bytes | None] | None:
    """Key, value and header of the record; None where nothing may be collected.

    What the entrance refuses comes by another way: a stranger writes it to Kafka, with an envelope that looks right.
    """
    kind = "identify" if act.kind == "identify" else act.kind if act.kind in ("page", "screen") else "track"
    entered = enter(raw, kind, stamp, SECRET)
    if isinstance(entered, Refused) and entered.reason is None:
        return None
    if isinstance(entered, Entered):
        value, key = entered.value, dict(entered.headers)[KEY_HEADER]
    else:
        fingerprint = hashlib.sha256(raw).hexdigest()[:32]
        head = {"type": kind, "messageId": "forged", "receivedAt": stamp.received_at, "fingerprint": fingerprint}
        value = json.dumps(head)[:-1].encode() + b',"message":' + raw + b"}"
        key = record_key("forged", fingerprint)
    visitor = str(act.visitor).encode()
    return visitor, *_HEADERS[act.header](value, key)


_HEADERS: Final[dict[str, Callable[[bytes, bytes], tuple[bytes | None, bytes | None]]]] = {
    "own": lambda value, key: (value, key),
    "none": lambda value, _: (value, None),
    "short": lambda value, key: (value, key[:15]),
    "foreign": lambda value, _: (value, b"foreign header 1"),
    "garbage": lambda value, key: (value[: len(value) // 2], key),
    "not utf-8": lambda value, key: (b"\xff" + value, key),
    "tombstone": lambda _, key: (None, key),
    "empty": lambda *_: (b"", None),
    "a number": lambda _, key: (b"17", key),
    "a key twice": lambda value, key: (b'{"type":"page",' + value[1:], key),
    "no such type": lambda value, key: (value.replace(b'"type":"', b'"type":"re', 1), key),
    "a number as type": lambda value, key: (value.replace(b'"type":"track"', b'"type":7', 1), key),
    "deep": lambda value, key: (value[:-1] + b',"deep":' + b"[" * 99 + b"]" * 99 + b"}", key),
    "blanks around": lambda value, key: (b" \n" + value + b"\t ", key),
}


def _moment(act: Act, last: datetime, gap_seconds: int) -> datetime:
    if act.midnight is not None:
        return datetime(last.year, last.month, last.day, tzinfo=UTC) + _DAY + timedelta(microseconds=act.midnight)
    gaps, micros = act.step
    return last + timedelta(seconds=gaps * gap_seconds, microseconds=micros)


def _message(shop: int, act: Act, at: datetime, message_id: str) -> dict[str, Any]:
    visitor = act.visitor if isinstance(act.visitor, int) else f"{act.visitor}{shop}"
    message: dict[str, Any] = {"messageId": message_id, "anonymousId": visitor, "properties": _properties(shop, act)}
    if act.kind in EVENT_NAMES:
        message["event"] = EVENT_NAMES[act.kind]
    elif act.kind in ("page", "screen"):
        message["name"] = act.product
    if act.clock != "none":
        message["originalTimestamp" if act.clock == "original" else "timestamp"] = _iso(at, act.clock)
    if said := SCENES[act.scene][0]:
        message["context"] = dict(said)
    if act.consent is not None:
        message["context"] = message.get("context", {}) | {
            "consent": {"collect" if act.consent == "collect" else "analyse": act.consent is True}
        }
    if act.odd:
        place = message if act.odd.place == "message" else message.setdefault(act.odd.place, {})
        place[act.odd.name] = act.odd.value
    return message


_IPHONE: Final = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 "
    "Mobile/15E148 Safari/604.1"
)
_ROBOT: Final = "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)"
_LANDING: Final = "https://shop.example/sale?utm_source=News&utm_medium=email&utm_campaign=spring"
# Where and on what an act happens: what the message's context says, and what the entrance sees.
SCENES: Final[Mapping[str, tuple[dict[str, Any], dict[str, Any]]]] = {
    "none": ({}, {"ip": "203.0.113.77"}),
    "landing": (
        {
            "userAgent": _IPHONE,
            "timezone": "Europe/Berlin",
            "page": {"url": _LANDING, "referrer": "https://www.google.com/"},
        },
        {"ip": "81.2.69.142"},
    ),
    "inside": (
        {
            "userAgent": _IPHONE,
            "page": {"path": "/b", "url": "https://shop.example/b", "referrer": "https://www.shop.example/"},
        },
        {"ip": "2.125.160.216"},
    ),
    "direct": ({"page": {"path": "/home", "search": "?gclid=x"}, "timezone": "Nowhere/Here"}, {"user_agent": _IPHONE}),
    "robot": ({"page": {"url": "https://shop.example/", "referrer": "https://chatgpt.com/"}}, {"user_agent": _ROBOT}),
    "disguised robot": ({"userAgent": _IPHONE}, {"user_agent": _ROBOT, "ip": "2001:218::1"}),
    "server": (
        {"library": {"name": "analytics-python"}, "ip": "216.160.83.56"},
        {"user_agent": "analytics-python/2.3", "ip": "81.2.69.142"},
    ),
    "app": (
        {"app": {"name": "Shop"}, "library": {"name": "analytics-android"}, "campaign": {"name": "x", "source": "Y"}},
        {"user_agent": "Shop/5 (Android 14; Pixel 8) okhttp/4.12.0", "ip": "89.160.20.112"},
    ),
}
GEO: Final = str(Path(__file__).parent / "golden/maxmind/GeoIP2-Country-Test.mmdb")


# The other product has no brand: NULL is a key like any other.
_BRANDS: Final[Mapping[str | None, str]] = {"p1": "acme"}


def _properties(shop: int, act: Act) -> dict[str, Any]:
    sent: dict[str, Any] = {"currency": act.currency, "product_id": act.product}
    if act.kind in ("purchase", "refund"):
        sent |= {"order_id": act.order and f"{act.order}-{shop}", act.stated or "note": act.amount}
        sent["products"] = [
            {"product_id": p, "price": price, "quantity": q, "brand": _BRANDS.get(p)} for p, price, q in act.lines
        ]
    elif act.kind in ("view", "cart"):
        sent |= {"price": act.amount, "brand": _BRANDS.get(act.product), "category": act.order}
    elif act.kind in ("page", "search"):
        sent |= {"path": act.product and f"/{act.product}", "query": act.product}
    return {name: value for name, value in sent.items() if value is not None}


def _iso(at: datetime, clock: str) -> str:
    text = at.replace(tzinfo=None).isoformat(timespec="microseconds")
    if clock == "millis":
        return at.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
    if clock == "zone":
        return (at + timedelta(hours=5, minutes=30)).replace(tzinfo=None).isoformat(timespec="microseconds") + "+05:30"
    return text + {"nanos": "789Z", "bare": ""}.get(clock, "Z")


# -- strategies ----------------------------------------------------------------------------------------------------

_PRODUCTS = st.sampled_from(["p1", "p2", None])
_AMOUNTS = st.sampled_from(["1", "#1", "#12.50", "12.5", "#0.01", "#19.9900", "7", "-3", "#1000000.00", "#0.125"])
_LINE = st.tuples(_PRODUCTS, _AMOUNTS, st.sampled_from(["#2", None, "1", "#3.0"]))
_NOWHERE: Final = {
    "message": (
        *("anonymousId", "userId", "event", "name", "timestamp", "originalTimestamp"),
        *("messageId", "properties", "context", "traits"),
    ),
    "properties": (
        *("price", "total", "revenue", "value", "tax", "quantity", "currency", "product_id"),
        *("order_id", "brand", "category", "coupon", "query", "path", "products"),
    ),
    "context": ("consent", "page", "userAgent", "campaign", "library", "app", "ip", "timezone"),
}
_VALUES: Final[tuple[Any, ...]] = (
    *(None, "", " ", "null", "Undefined ", "x" * 256, "plain", "42", "-1", " 7 ", "+5", "1e3", "0.5", "½"),
    "\ud83d\ude00",
    *("#7", "#-1", "#0.5", "#1e2", "#1.0", "#" + "9" * 17, "#" + "9" * 40, "#9000000000000000", "#1000000001"),
    *(
        True,
        False,
        [],
        {},
        [1],
        [{}],
        [{"price": "x"}],
        [{"quantity": 2.5}],
        {"path": "/deep"},
        {"url": "//[x"},
        {"name": 5},
        {"analyse": False},
    ),
    *("USD", "jpy", "US", "ÜSD", "2024-02-30T00:00:00Z", "2024-03-01", "2024-03-01T10:00:00", "2024-03-01 10:00:00Z"),
    *("2024-03-01T10:00Z", "2024-03-01T10:00:00+05:30", "2024-03-01T10:00:00-0800", "2024-03-01T10:00:00+19:00"),
    *("1969-12-31T23:59:59Z", "9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59-00:01", "1709287200"),
    *("1970-01-01T00:00:00+00:01", "2024-03-01T24:00:00Z", "2024-03-01T23:59:60Z", "2024-03-01t10:00:00z"),
)


def _seldom(strategy: st.SearchStrategy[Any], often: Any = None, weight: int = 9) -> st.SearchStrategy[Any]:
    """`often`, and one time in `weight` + 1 something else; shrinks to `often`."""
    return st.integers(0, weight).flatmap(lambda n: strategy if n == weight else st.just(often))


@st.composite
def _odds(draw: st.DrawFn) -> Odd:
    place = draw(st.sampled_from(list(_NOWHERE)))
    return Odd(place, draw(st.sampled_from(_NOWHERE[place])), draw(st.sampled_from(_VALUES)))


def _acts(odd: st.SearchStrategy[Odd | None]) -> st.SearchStrategy[Act]:
    return st.builds(
        Act,
        visitor=st.sampled_from(["ann", "ann", "ann", "bob", 42]),
        kind=st.sampled_from(KINDS),
        step=st.sampled_from(STEPS),
        midnight=st.sampled_from(MIDNIGHTS),
        product=_PRODUCTS,
        amount=_AMOUNTS,
        stated=st.sampled_from([None, "total", "revenue", "value"]),
        lines=st.lists(_LINE, max_size=2).map(tuple),
        currency=st.sampled_from([None, None, "USD", "JPY", "kwd", "CLF"]),
        order=st.sampled_from([None, "o1", "o2"]),
        clock=st.sampled_from(["micros", "micros", "millis", "nanos", "zone", "bare", "original", "none"]),
        consent=_seldom(st.sampled_from([True, False, "collect"])),
        delay=st.sampled_from([0, 0, 0, 1, 3, 30]),
        copies=_seldom(_COPIES, (), 3),
        twin=_seldom(st.integers(0, 20)),
        odd=odd,
        header=_seldom(st.sampled_from(list(_HEADERS)), "own", 19),
        scene=st.sampled_from(["none", "none", *SCENES]),
    )


_COPIES: Final = st.lists(st.tuples(st.sampled_from([0, 1, 5]), st.booleans()), min_size=1, max_size=3).map(tuple)
SETTINGS: Final = st.builds(
    Settings,
    session_gap_seconds=st.sampled_from([1800, 1800, 60, 7]),
    currency_default=st.sampled_from(["USD", "JPY"]),
    consent_default=st.sampled_from(["grant", "grant", "deny"]),
    money_excess_digits=st.sampled_from(["reject", "round"]),
    funnel_steps=st.sampled_from(["view,cart,purchase", "view, cart, checkout, purchase", "page,page", "cart"]),
    enrichment=st.sampled_from(["on", "on", "on", "off"]),
    geo_database=st.sampled_from(["", GEO]),
)


def worlds(
    most_acts: int = 12,
    shops: int = SHOPS,
    settings: st.SearchStrategy[Settings] = SETTINGS,
    *,
    all_odd: bool = False,
) -> st.SearchStrategy[World]:
    """Worlds of `shops` shops with up to `most_acts` acts each. They shrink to few acts, all of them plain views.

    One message in twelve, or every one where `all_odd`, says something odd.
    """
    shop = st.lists(_acts(_odds() if all_odd else _seldom(_odds(), weight=11)), max_size=most_acts).map(tuple)
    return st.builds(
        World,
        shops=st.lists(shop, min_size=shops, max_size=shops).map(tuple),
        partitions=st.integers(1, 3),
        settings=settings,
    )


@st.composite
def crowds(draw: st.DrawFn) -> World:
    """Worlds in which one visitor views about as much as a trail holds, so that some trails overflow."""
    steps = st.sampled_from([(0, 1), (0, 0), (0, 1_000_000), (0, -1)])
    runs = draw(st.lists(st.tuples(steps, st.integers(60, 140), st.sampled_from(KINDS)), min_size=1, max_size=4))
    many = tuple(Act(kind=kind, step=step, delay=i % 7) for step, count, kind in runs for i in range(count))
    return World((many, *draw(worlds(4, 1)).shops), settings=draw(SETTINGS))


def cuts(table: pa.Table) -> st.SearchStrategy[dict[int, int]]:
    """An exclusive offset per partition, from nothing to everything, each partition on its own."""
    return st.fixed_dictionaries({p: st.integers(0, end) for p, end in sorted(ends_of(table).items())})


def at_cut(table: pa.Table, cut: Mapping[int, int]) -> tuple[pa.Table, pa.Table]:
    """The records below the cut, and those from it on."""
    place = zip(table["partition"].to_pylist(), table["offset"].to_pylist(), strict=True)
    below = pa.array([offset < cut.get(partition, 0) for partition, offset in place], pa.bool_())
    return table.filter(below), table.filter(pc.invert(below))


def dealt(table: pa.Table, hands: int) -> st.SearchStrategy[list[pa.Table]]:
    """The rows dealt out to `hands` micro-batches, in any way; many rows by a pattern that repeats."""
    labels = st.lists(st.integers(0, hands - 1), min_size=1, max_size=40)
    rows = range(table.num_rows)

    def of_hand(given: list[int], hand: int) -> pa.Table:
        return table.filter(pa.array([given[i % len(given)] == hand for i in rows], pa.bool_()))

    return labels.map(lambda given: [of_hand(given, hand) for hand in range(hands)])
