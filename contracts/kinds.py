"""The vocabulary: which kind an event is.

Names are those of Segment's Spec (https://segment.com/docs/connections/spec/ecommerce/v2/);
matching ignores case. A track event that is not listed is `custom`: accepted and counted.
"""

from __future__ import annotations

CALL_TYPES = ("track", "page", "screen", "identify", "group", "alias")

KIND_BY_EVENT_NAME = {
    "products searched": "search",
    "product list viewed": "list_view",
    "product list filtered": "list_view",
    "product clicked": "click",
    "product viewed": "view",
    "product added": "cart",
    "product removed": "cart_remove",
    "cart viewed": "cart_view",
    "checkout started": "checkout",
    "checkout step viewed": "checkout_step",
    "checkout step completed": "checkout_step",
    "payment info entered": "payment",
    "order completed": "purchase",
    "order refunded": "refund",
    "order cancelled": "cancel",
    "promotion viewed": "promotion_view",
    "promotion clicked": "promotion_click",
    "form viewed": "form_view",
    "form started": "form_start",
    "form submitted": "form_submit",
    "scroll depth": "scroll",
}
CUSTOM = "custom"
KINDS = tuple(
    dict.fromkeys(
        ["page", "screen", *KIND_BY_EVENT_NAME.values(), "identify", "group", "alias", CUSTOM],
    ),
)
# What a session's trail keeps: the steps of a journey. The rest is only counted.
JOURNEY_KINDS = ("page", "screen", "search", "view", "cart", "cart_remove", "checkout", "purchase", "refund")
# Kinds whose `ref` is the product; a page's is its path, a search's its query, an order's its order id.
PRODUCT_KINDS = ("click", "view", "cart", "cart_remove")


def kind_of(call_type: str, event_name: str | None) -> str:
    """The kind of one call: `track` by its event name, every other type by itself."""
    if call_type != "track":
        return call_type
    return KIND_BY_EVENT_NAME.get((event_name or "").strip().lower(), CUSTOM)
