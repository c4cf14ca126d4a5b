"""What visitors hold in their hands, and how it introduces itself."""

from __future__ import annotations

import json
from bisect import bisect
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from random import Random
from typing import Final, Literal

from speed_layer.replay.simulator.places import Country

DeviceKind = Literal["desktop", "mobile", "tablet", "app", "bot"]


@dataclass(frozen=True, slots=True)
class Model:
    """A kind of device with its User-Agent; `weight` is its share among its peers."""

    name: str
    kind: DeviceKind
    os: str
    weight: float
    user_agent: str


@dataclass(slots=True)
class Device:
    """One browser or app installation. Its `anonymous_id` is what analytics calls a visitor."""

    anonymous_id: str
    model: Model
    country: Country
    ip: str
    is_identified: bool = False
    is_takeover: bool = False
    odd_clock_count: int = 0


def _chrome(platform: str, mobile: str = "", tail: str = "") -> str:
    return f"Mozilla/5.0 ({platform}) {_WEBKIT} Chrome/139.0.0.0{mobile} Safari/537.36{tail}"


def _firefox(platform: str) -> str:
    return f"Mozilla/5.0 ({platform}; rv:141.0) Gecko/20100101 Firefox/141.0"


def _safari(platform: str, mobile: str = "") -> str:
    return f"Mozilla/5.0 ({platform}) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.6{mobile}"


_WEBKIT: Final = "AppleWebKit/537.36 (KHTML, like Gecko)"
_WINDOWS: Final = "Windows NT 10.0; Win64; x64"
_MAC: Final = "Macintosh; Intel Mac OS X 10_15_7"
_ANDROID: Final = "Linux; Android 10; K"
_SAMSUNG: Final = "Linux; Android 14; SM-S921B"
_IPHONE: Final = "iPhone; CPU iPhone OS 17_6 like Mac OS X"
_IPAD: Final = "iPad; CPU OS 17_6 like Mac OS X"
_MOBILE_SAFARI: Final = " Mobile/15E148 Safari/604.1"
_NEXUS: Final = "Linux; Android 6.0.1; Nexus 5X Build/MMB29P"
_GOOGLEBOT: Final = " (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
_BINGBOT: Final = "compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm"

MODELS: Final = (
    Model("Chrome on Windows", "desktop", "Windows", 0.20, _chrome(_WINDOWS)),
    Model("Edge on Windows", "desktop", "Windows", 0.06, _chrome(_WINDOWS, tail=" Edg/139.0.0.0")),
    Model("Firefox on Windows", "desktop", "Windows", 0.04, _firefox(_WINDOWS)),
    Model("Chrome on macOS", "desktop", "macOS", 0.06, _chrome(_MAC)),
    Model("Safari on macOS", "desktop", "macOS", 0.06, _safari(_MAC, " Safari/605.1.15")),
    Model("Firefox on Linux", "desktop", "Linux", 0.02, _firefox("X11; Linux x86_64")),
    Model("Safari on iPhone", "mobile", "iOS", 0.20, _safari(_IPHONE, _MOBILE_SAFARI)),
    Model("Chrome on Android", "mobile", "Android", 0.18, _chrome(_ANDROID, " Mobile")),
    Model("Samsung Internet", "mobile", "Android", 0.04, _chrome(_SAMSUNG, " SamsungBrowser/26.0 Mobile")),
    Model("Safari on iPad", "tablet", "iOS", 0.04, _safari(_IPAD, _MOBILE_SAFARI)),
    Model("Shop app on Android", "app", "Android", 0.05, "TideShop/5.2.1 (Android 14; Pixel 8) okhttp/4.12.0"),
    Model("Shop app on iPhone", "app", "iOS", 0.05, "TideShop/5.2.1 (iPhone15,2; iOS 17.6) CFNetwork/1498"),
)
DECLARED_BOTS: Final = (
    Model("Googlebot", "bot", "Android", 0.45, _chrome(_NEXUS, " Mobile", _GOOGLEBOT)),
    Model("bingbot", "bot", "", 0.20, f"Mozilla/5.0 {_WEBKIT[:-1]}; {_BINGBOT}) Chrome/139.0.0.0 Safari/537.36"),
    Model(
        "GPTBot", "bot", "", 0.20, f"Mozilla/5.0 {_WEBKIT[:-1]}; compatible; GPTBot/1.2; +https://openai.com/gptbot)"
    ),
    Model("AhrefsBot", "bot", "", 0.15, "Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)"),
)
# A bot that hides takes the commonest browsers' names.
_DISGUISES: Final = MODELS[:1] + MODELS[3:4]


def pick_model(rng: Random, models: tuple[Model, ...] = MODELS) -> Model:
    """One model, by weight."""
    cumulative = _cumulative(models)
    return models[bisect(cumulative, rng.random() * cumulative[-1], hi=len(models) - 1)]


def pick_disguise(rng: Random) -> Model:
    """The browser an undeclared bot claims to be."""
    return pick_model(rng, _DISGUISES)


@lru_cache(maxsize=256)
def context_members(model: Model, country: Country) -> str:
    """Members of `context` that never change on a device, as JSON text without the braces."""
    is_app = model.kind == "app"
    members: dict[str, object] = {
        "userAgent": model.user_agent,
        "locale": country.locale,
        "timezone": country.timezone,
        "library": {"name": "analytics-mobile" if is_app else "analytics.js", "version": "2.11.1"},
    }
    if is_app:
        members["app"] = {"name": "TideShop", "version": "5.2.1"}
        members["os"] = {"name": model.os}
    return json.dumps(members, separators=(",", ":"))[1:-1]


@lru_cache(maxsize=8)
def _cumulative(models: tuple[Model, ...]) -> list[float]:
    return list(accumulate(model.weight for model in models))
