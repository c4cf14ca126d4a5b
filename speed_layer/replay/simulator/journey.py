"""One visit, told as the events its device would report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final, NamedTuple
from urllib.parse import quote

from speed_layer.replay.simulator.arrivals import LANDING, READINESS, Arrival
from speed_layer.replay.simulator.chain import (
    EXIT,
    NEED_CART,
    Table,
    bot_table,
    level_of,
    next_state,
    shopper_table,
    thief_table,
)
from speed_layer.replay.simulator.checkout import Order, place_order, products_member
from speed_layer.replay.simulator.clock import SECOND_MS
from speed_layer.replay.simulator.devices import Device
from speed_layer.replay.simulator.people import Person, RefundPlan
from speed_layer.replay.simulator.shop import QUERIES, Product, Shop, money_text, quoted

SITE: Final = "https://shop.example"
_LONGEST_HUMAN_VISIT: Final = 150
_LOGIN_SHARE: Final = 0.4
_REFUND_SHARE: Final = 0.08
_PART_REFUND_SHARE: Final = 0.25
_LONG_PAUSE_SHARE: Final = 0.008


class Event(NamedTuple):
    """One call, short of what differs by sending. `head`, `context` and `body` are JSON members without braces."""

    at_ms: int
    name: str
    head: str
    user_id: str | None
    context: str
    body: str


@dataclass(frozen=True, slots=True)
class Refund:
    """Money given back for an order, in the order's currency."""

    order_id: str
    value_minor: int
    at_ms: int


class Journey:
    """Walks the chain from the landing page to the exit and writes down every event on the way.

    Afterwards `events` are in strictly ascending time, the first is a page or screen call, and `steps` holds the
    kinds reached (as `contracts.kinds` names them) in the order they were first reached.
    """

    def __init__(self, rng: Random, shop: Shop, person: Person, device: Device, arrival: Arrival) -> None:
        self.events: list[Event] = []
        self.steps: dict[str, None] = {}
        self.orders: list[Order] = []
        self.refunds: list[Refund] = []
        self.entry = self.exit = ""
        self.arrival = arrival
        self.readiness = 0.0 if person.is_bot else self._readiness_of(person, arrival)
        self._rng, self._shop, self._person, self._device = rng, shop, person, device
        self._currency = person.country.currency
        self._is_app = device.model.kind == "app"
        self._context, self._url = "", arrival.referrer
        self._product: Product | None = None
        self._now_ms = 0
        self._states: dict[str, Callable[[], None]] = {
            "home": self._home,
            "search": self._search,
            "list": self._list,
            "product": self._view,
            "add": self._add,
            "remove": self._remove,
            "cart": self._cart,
            "checkout": self._checkout,
            "shipping": self._shipping,
            "payment": self._payment,
            "order": self._order,
        }

    def walk(self, start_ms: int) -> Journey:
        """The whole visit, begun at `start_ms`; returns itself."""
        self._now_ms = start_ms
        if self._person.refund is not None and not self._person.is_bot:
            self._send_back(self._person.refund)
            return self
        table, state, most = self._plan()
        while state != EXIT and len(self.events) < most:
            self._states[state]()
            following = next_state(self._rng, table, state)
            state = "list" if following in NEED_CART and not self._person.cart else following
            self._pause()
        return self

    @staticmethod
    def _readiness_of(person: Person, arrival: Arrival) -> float:
        return person.readiness + READINESS.get(arrival.channel, 0.0) + 0.06 * min(person.visit_count, 4)

    def _plan(self) -> tuple[Table, str, int]:
        rng, person = self._rng, self._person
        if person.is_bot:
            return bot_table(), rng.choice(("home", "list", "product")), rng.randrange(20, 160)
        if self._device.is_takeover:
            return thief_table(), "home", _LONGEST_HUMAN_VISIT
        state = "home" if self._is_app else rng.choice(LANDING[self.arrival.channel])
        return shopper_table(level_of(self.readiness)), state, _LONGEST_HUMAN_VISIT

    def _pause(self) -> None:
        rng = self._rng
        if self._person.is_bot:
            seconds = rng.uniform(0.15, 1.2) if self._person.kind == "undeclared_bot" else rng.uniform(0.5, 4.0)
        elif self._device.is_takeover:
            seconds = rng.uniform(1.5, 7.0)
        elif rng.random() < _LONG_PAUSE_SHARE:
            seconds = rng.uniform(10, 25) * 60
        else:
            seconds = min(600.0, 1 + rng.lognormvariate(2.5, 1.0))
        self._now_ms += int(seconds * SECOND_MS)

    def _page(self, name: str, path: str, title: str, query: str = "") -> None:
        is_landing = not self.events
        self.exit = path
        if is_landing:
            self.entry, query = path, self._landing_query(query)
        if not self._is_app:
            url = f"{SITE}{path}?{query}" if query else SITE + path
            page = f'"page":{{"path":"{path}","url":"{url}","referrer":"{self._url}","title":{title}}},'
            self._context = page + self.arrival.context_member if is_landing else page
            self._url = url
        call = "screen" if self._is_app else "page"
        self._call(call, f'"type":"{call}","name":"{name}"', f'"properties":{{"path":"{path}","title":{title}}}')
        if is_landing and (self._device.is_takeover or self._rng.random() < _LOGIN_SHARE):
            self._login()

    def _landing_query(self, query: str) -> str:
        arrival = self.arrival
        click = f"{arrival.click_id}=Cj{self._rng.getrandbits(60):015x}" if arrival.click_id else ""
        return "&".join(part for part in (query, arrival.query, click) if part)

    def _track(self, name: str, properties: str, step: str | None = None) -> None:
        if step:
            self.steps.setdefault(step)
        self._call(name, f'"type":"track","event":"{name}"', f'"properties":{{{properties}}}')

    def _call(self, name: str, head: str, body: str) -> None:
        user_id = self._person.user_id if self._device.is_identified else None
        self.events.append(Event(self._now_ms, name, head, user_id, self._context, body))
        self._now_ms += 20 + int(self._rng.random() * 180)

    def _login(self) -> None:
        user_id, device = self._person.user_id, self._device
        if user_id is None or device.is_identified:
            return
        device.is_identified = True
        if not device.is_takeover:
            self._person.is_identified = True
        mailbox = "new-mailbox" if device.is_takeover else "customer"
        traits = f'"email":"{mailbox}-{user_id}@mail.example","country":"{self._person.country.code}"'
        self._call("identify", '"type":"identify"', f'"traits":{{{traits}}}')

    def _home(self) -> None:
        self._page("Home", "/", '"TideShop"')

    def _search(self) -> None:
        text = self._rng.choice(QUERIES)
        query = quoted(text)
        self._page("Search", "/search", f'"Results for {query[1:-1]}"', "q=" + quote(text))
        self._track("Products Searched", f'"query":{query}', "search")
        self._product = None

    def _list(self) -> None:
        rng, shop, favourite = self._rng, self._shop, self._person.favourite
        stays = favourite is not None and rng.random() < 0.5
        category = shop.categories[favourite] if stays and favourite is not None else rng.choice(shop.categories)
        shown = ",".join(f"{{{shop.pick_in(rng, category).members[self._currency]}}}" for _ in range(3))
        self._page("Category", "/c/" + category.path.replace(".", "/"), f'"{category.path}"')
        self._track(
            "Product List Viewed", f'"list_id":"{category.path}","category":"{category.path}","products":[{shown}]'
        )

    def _view(self) -> None:
        rng, shop = self._rng, self._shop
        product = shop.pick_dear(rng) if self._device.is_takeover else shop.pick(rng, self._person.favourite)
        self._product = product
        self._page("Product", f"/p/{product.product_id}", product.title)
        self._track("Product Viewed", f'{product.members[self._currency]},"currency":"{self._currency}"', "view")

    def _add(self) -> None:
        product = self._product
        if product is None:
            return
        quantity = 1 if self._rng.random() < 0.85 else self._rng.randrange(2, 5)
        self._person.cart.append((product, quantity))
        self._track("Product Added", self._line(product, quantity), "cart")

    def _remove(self) -> None:
        cart = self._person.cart
        self._track("Product Removed", self._line(*cart.pop(self._rng.randrange(len(cart)))), "cart_remove")

    def _line(self, product: Product, quantity: int) -> str:
        return f'{product.members[self._currency]},"currency":"{self._currency}","quantity":{quantity}'

    def _cart(self) -> None:
        self._page("Cart", "/cart", '"Your cart"')
        self._track("Cart Viewed", f'"cart_id":"{self._device.anonymous_id}",{self._basket()}', "cart_view")

    def _basket(self) -> str:
        return f'"currency":"{self._currency}",{products_member(self._person.cart, self._currency)}'

    def _checkout(self) -> None:
        self._page("Checkout", "/checkout", '"Checkout"')
        self._login()
        value = sum(product.price_minor[self._currency] * quantity for product, quantity in self._person.cart)
        self._track("Checkout Started", f'"value":{money_text(value)},{self._basket()}', "checkout")

    def _shipping(self) -> None:
        method = self._rng.choice(("standard", "standard", "express"))
        self._track("Checkout Step Completed", f'"step":2,"shipping_method":"{method}"', "checkout_step")

    def _payment(self) -> None:
        method = self._rng.choice(("card", "card", "wallet", "invoice"))
        self._track("Payment Info Entered", f'"step":3,"payment_method":"{method}"', "payment")

    def _order(self) -> None:
        rng, person = self._rng, self._person
        self._page("Thank You", "/thanks", '"Thank you"')
        order = place_order(rng, person.cart, self._currency, len(self.events), self._now_ms)
        self._track("Order Completed", order.members, "purchase")
        self.orders.append(order)
        person.cart = []
        if rng.random() < _REFUND_SHARE and person.refund is None:
            share = rng.choice((0.25, 0.5)) if rng.random() < _PART_REFUND_SHARE else 1
            person.refund = RefundPlan(order.order_id, max(1, int(order.value_minor * share)))

    def _send_back(self, plan: RefundPlan) -> None:
        for name, path in (("Orders", "/account/orders"), ("Returns", "/account/returns")):
            self._page(name, path, f'"{name}"')
            self._pause()
        self.refunds.append(Refund(plan.order_id, plan.value_minor, self._now_ms))
        total = f'"total":{money_text(plan.value_minor)},"currency":"{self._currency}"'
        self._track("Order Refunded", f'"order_id":"{plan.order_id}",{total}', "refund")
        self._person.refund = None
