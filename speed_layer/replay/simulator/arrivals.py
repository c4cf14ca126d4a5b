"""How visitors find the shop: channels, campaigns, referrers."""

from __future__ import annotations

from bisect import bisect
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from random import Random
from typing import Final


@dataclass(frozen=True)
class Arrival:
    """One way in. `campaign` is None where nobody paid or mailed; `click_id` is the ad network's parameter."""

    channel: str
    weight: float
    source: str | None = None
    medium: str | None = None
    campaign: str | None = None
    referrer: str = ""
    click_id: str | None = None

    @cached_property
    def query(self) -> str:
        """The landing URL's query without a click id: the `utm_*` of a campaign, else empty."""
        if self.campaign is None:
            return ""
        return f"utm_source={self.source}&utm_medium={self.medium}&utm_campaign={self.campaign}"

    @cached_property
    def context_member(self) -> str:
        """`context.campaign` as JSON text with a trailing comma, or empty."""
        if self.campaign is None:
            return ""
        return f'"campaign":{{"name":"{self.campaign}","source":"{self.source}","medium":"{self.medium}"}},'


DIRECT: Final = Arrival("direct", 0.27)
CART_MAIL: Final = Arrival("email", 0.0, "newsletter", "email", "cart_reminder")
_ARRIVALS: Final = (
    DIRECT,
    Arrival("organic_search", 0.20, "google", "organic", referrer="https://www.google.com/"),
    Arrival("organic_search", 0.03, "bing", "organic", referrer="https://www.bing.com/"),
    Arrival("organic_search", 0.02, "duckduckgo", "organic", referrer="https://duckduckgo.com/"),
    Arrival("paid_search", 0.07, "google", "cpc", "brand_search", "https://www.google.com/", "gclid"),
    Arrival("paid_search", 0.06, "google", "cpc", "generic_shoes", "https://www.google.com/", "gclid"),
    Arrival("paid_search", 0.02, "bing", "cpc", "brand_search", "https://www.bing.com/", "msclkid"),
    Arrival("organic_social", 0.05, "instagram", "social", referrer="https://l.instagram.com/"),
    Arrival("organic_social", 0.03, "t.co", "social", referrer="https://t.co/"),
    Arrival("organic_social", 0.02, "youtube", "social", referrer="https://www.youtube.com/"),
    Arrival("paid_social", 0.06, "facebook", "paid_social", "autumn_sale", "https://l.facebook.com/", "fbclid"),
    Arrival("paid_social", 0.03, "tiktok", "paid_social", "creator_kettle", "https://www.tiktok.com/", "ttclid"),
    Arrival("email", 0.05, "newsletter", "email", "weekly_news"),
    Arrival("referral", 0.04, "blog.example.org", "referral", referrer="https://blog.example.org/best-kettles"),
    Arrival("ai_assistant", 0.03, "chatgpt.com", "referral", referrer="https://chatgpt.com/"),
    Arrival("ai_assistant", 0.01, "perplexity", "referral", referrer="https://www.perplexity.ai/"),
    Arrival("ai_assistant", 0.01, "copilot", "referral", referrer="https://copilot.microsoft.com/"),
)
_CUMULATIVE: Final = list(accumulate(arrival.weight for arrival in _ARRIVALS))

# Where each channel lands, and how much readier to buy its people are.
LANDING: Final = {
    "direct": ("home", "home", "home", "list"),
    "organic_search": ("product", "product", "list", "home"),
    "paid_search": ("product", "list", "list", "home"),
    "organic_social": ("product", "home"),
    "paid_social": ("list", "product"),
    "email": ("list", "product", "home"),
    "referral": ("product", "home"),
    "ai_assistant": ("product", "product", "list"),
}
READINESS: Final = {
    "paid_search": 0.15,
    "email": 0.2,
    "ai_assistant": 0.15,
    "organic_social": -0.15,
    "paid_social": -0.1,
}


def pick_arrival(rng: Random) -> Arrival:
    """A way in, by weight."""
    return _ARRIVALS[bisect(_CUMULATIVE, rng.random() * _CUMULATIVE[-1], hi=len(_ARRIVALS) - 1)]
