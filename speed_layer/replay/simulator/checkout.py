"""Orders: what they are worth and how a shop's site reports them."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Final

from speed_layer.replay.simulator.shop import Product, money_text

_COUPON_SHARE: Final = 0.1
_COUPON_DIVISOR: Final = 10
_FREE_SHIPPING_MINOR: Final = 5_000
_SHIPPING_MINOR: Final = 499
_TAX_DIVISOR: Final = 20
# How sites report an order's value: most send `total`, some only `revenue`, a few neither.
_TOTAL_SHARE: Final = 0.85
_REVENUE_SHARE: Final = 0.10


@dataclass(frozen=True, slots=True)
class Order:
    """An order. `value_minor` is what Tidemark must count: `total`, else `revenue`, else the lines' sum.

    `event_index` is the place of its Order Completed in the visit; `rest` is its properties' JSON members but for
    order_id and value.
    """

    order_id: str
    value_minor: int
    currency: str
    line_count: int
    event_index: int
    at_ms: int
    value_member: str
    rest: str

    @property
    def members(self) -> str:
        """The properties of its Order Completed, unbraced."""
        return f'"order_id":"{self.order_id}",{self.value_member}{self.rest}'

    def members_with_total(self, minor: int) -> str:
        """The same order as another report of it might say it, with another total."""
        return f'"order_id":"{self.order_id}","total":{money_text(minor)},{self.rest}'


def products_member(cart: list[tuple[Product, int]], currency: str) -> str:
    """`"products":[...]`, one line a cart entry."""
    lines = (f'{{{product.members[currency]},"quantity":{quantity}}}' for product, quantity in cart)
    return f'"products":[{",".join(lines)}]'


def place_order(rng: Random, cart: list[tuple[Product, int]], currency: str, event_index: int, at_ms: int) -> Order:
    """The order of what lies in the cart, at that place and moment of the visit."""
    subtotal = sum(product.price_minor[currency] * quantity for product, quantity in cart)
    discount = subtotal // _COUPON_DIVISOR if rng.random() < _COUPON_SHARE else 0
    shipping = 0 if subtotal >= _FREE_SHIPPING_MINOR else _SHIPPING_MINOR
    tax = (subtotal - discount) // _TAX_DIVISOR
    value, member = _reported(rng, subtotal, subtotal - discount, subtotal - discount + shipping + tax)
    coupon = f'"coupon":"TIDE10","discount":{money_text(discount)},' if discount else ""
    rest = (
        f'{coupon}"shipping":{money_text(shipping)},"tax":{money_text(tax)},"currency":"{currency}",'
        f"{products_member(cart, currency)}"
    )
    order_id = f"O-{rng.getrandbits(52):013x}"
    return Order(order_id, value, currency, len(cart), event_index, at_ms, member, rest)


def _reported(rng: Random, subtotal: int, revenue: int, total: int) -> tuple[int, str]:
    luck = rng.random()
    if luck < _TOTAL_SHARE:
        return total, f'"total":{money_text(total)},"revenue":{money_text(revenue)},'
    if luck < _TOTAL_SHARE + _REVENUE_SHARE:
        return revenue, f'"revenue":{money_text(revenue)},'
    return subtotal, ""
