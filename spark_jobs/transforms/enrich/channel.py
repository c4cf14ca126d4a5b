"""Source, medium, campaign and channel of one hit, out of its referrer and its landing URL.

Channels are GA4's default channel group for manual traffic, its rules in its order
(https://support.google.com/analytics/answer/9756891, "Channel group definitions"), and `AI Assistants`, which follows
the paid ones. Sources and media are compared and kept in lower case.

Campaign parameters win over click ids, click ids over the referrer. GA4 knows from Google's own accounts on which
network a click was sold; a URL does not say it, so `gclid` is a paid search unless a campaign parameter says more.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from publicsuffixlist import PublicSuffixList

from spark_jobs.transforms.enrich import sources

LONGEST_URL: Final = 8_192
LONGEST_VALUE: Final = 256
_MOST_PARAMETERS: Final = 200
_MOST_HOSTS: Final = 20_000

_PAID: Final = re.compile(r"^(.*cp.*|ppc|retargeting|paid.*)$")
_SHOPPING_CAMPAIGN: Final = re.compile(r"^(.*(([^a-df-z]|^)shop|shopping).*)$")
_DISPLAY: Final = frozenset({"display", "banner", "expandable", "interstitial", "cpm"})
_SOCIAL: Final = frozenset({"social", "social-network", "social-media", "sm", "social network", "social media"})
_REFERRAL: Final = frozenset({"referral", "app", "link"})
_EMAIL: Final = frozenset({"email", "e-mail", "e_mail", "e mail"})
_PAID_CHANNELS: Final = {
    sources.SHOPPING: "Paid Shopping",
    sources.SEARCH: "Paid Search",
    sources.SOCIAL: "Paid Social",
    sources.VIDEO: "Paid Video",
}
_NO_MEDIUM: Final = frozenset({"", "(none)", "(not set)"})
_SEARCH_HOST: Final = re.compile(r"(?:|(?:.*\.)?(?:www\d?|m|search|images?|encrypted|cse|int|wap|[a-z]{2}))$")


class Campaign(NamedTuple):
    """What a client library says of the campaign (`context.campaign` of Segment's Spec)."""

    name: str | None
    source: str | None
    medium: str | None
    term: str | None
    content: str | None


class Touch(NamedTuple):
    """Where a hit came from. `click_id` is the name of the parameter, not its value; `landing` is the page's path.

    An internal hit (`is_internal`: the referrer is the site itself) has no source, medium or channel of its own.
    """

    source: str | None
    medium: str | None
    campaign: str | None
    term: str | None
    content: str | None
    click_id: str | None
    channel: str | None
    landing: str | None
    is_internal: bool


INTERNAL: Final = Touch(None, None, None, None, None, None, None, None, is_internal=True)
DIRECT: Final = Touch("(direct)", "(none)", None, None, None, None, "Direct", None, is_internal=False)
# A hit that names no page and no campaign, as a server's, came from nowhere that is known.
UNKNOWN: Final = Touch(None, None, None, None, None, None, None, None, is_internal=False)


def touch_of(referrer: str | None, landing: str | None, said: Campaign | None = None) -> Touch:
    """The source of a hit at URL `landing` (also a bare path or query) that came from URL `referrer`.

    `said` stands in for what the URL's own campaign parameters leave open.
    """
    if not referrer and not landing and not (said and any(said)):
        return UNKNOWN
    given = _parameters(landing)
    touch = _touch(referrer, landing, given, _merged(given, said))
    return touch._replace(landing=_path(landing))


def _merged(given: dict[str, str], said: Campaign | None) -> Campaign:
    own = Campaign(*(given.get(f"utm_{name}") for name in ("campaign", "source", "medium", "term", "content")))
    if said is None or own.name or own.source or own.medium:
        return own
    return Campaign(*(text.strip()[:LONGEST_VALUE] or None if text else None for text in said))


def _touch(referrer: str | None, landing: str | None, given: dict[str, str], of_link: Campaign) -> Touch:
    campaign, term, content = of_link.name, of_link.term, of_link.content
    click_id = next((name for name in sources.CLICK_IDS if name in given), None)
    source, medium = _lower(of_link.source), _lower(of_link.medium)
    if source is None and medium is None and campaign is None:
        if click_id is not None:
            source, medium = sources.CLICK_IDS[click_id]
        else:
            host = _host(referrer)
            if host is None:
                return DIRECT
            if site_of(host) == site_of(_host(landing)):
                return INTERNAL
            source, medium = _referral(host)
    channel = channel_of(source, medium, campaign)
    return Touch(source, medium, campaign, term, content, click_id, channel, None, is_internal=False)


def channel_of(source: str | None, medium: str | None, campaign: str | None) -> str:
    """The default channel group of a source, medium and campaign name, in any case; GA4's rules in GA4's order."""
    source, medium, campaign = (source or "").lower(), (medium or "").lower(), (campaign or "").lower()
    kind = category_of(source)
    is_shopping = kind == sources.SHOPPING or _SHOPPING_CAMPAIGN.match(campaign) is not None
    if source in {"", "(direct)", "direct"} and medium in _NO_MEDIUM and not campaign:
        return "Direct"
    if "cross-network" in campaign:
        return "Cross-network"
    if _PAID.match(medium):
        paid = "Paid Shopping" if is_shopping else _PAID_CHANNELS.get(kind or "")
        return paid or ("Display" if medium in _DISPLAY else "Paid Other")
    if medium in _DISPLAY:
        return "Display"
    if kind == sources.AI:
        return "AI Assistants"
    return _unpaid(source, medium, kind, is_shopping=is_shopping)


def _unpaid(source: str, medium: str, kind: str | None, *, is_shopping: bool) -> str:
    rules = (
        ("Organic Shopping", is_shopping),
        ("Organic Social", kind == sources.SOCIAL or medium in _SOCIAL),
        ("Organic Video", kind == sources.VIDEO or "video" in medium),
        ("Organic Search", kind == sources.SEARCH or medium == "organic"),
        ("Referral", medium in _REFERRAL),
        ("Email", source in _EMAIL or medium in _EMAIL),
        ("Affiliates", medium in {"affiliate", "affiliates"}),
        ("Audio", medium == "audio"),
        ("SMS", "sms" in {source, medium}),
        (
            "Mobile Push Notifications",
            medium.endswith("push") or "mobile" in medium or "notification" in medium or source == "firebase",
        ),
    )
    return next((channel for channel, applies in rules if applies), "Unassigned")


@lru_cache(_MOST_HOSTS)
def category_of(source: str) -> str | None:
    """The category (`sources`) of a lower-case source: a name such as `google`, or a host; None where not listed."""
    if source in sources.BRANDS:
        return sources.BRANDS[source]
    labels = source.split(".")
    for start in range(len(labels) - 1):
        if (found := sources.HOSTS.get(".".join(labels[start:]))) is not None:
            return None if found == sources.OTHER else found
    brand = _brand(source)
    category = sources.BRANDS.get(brand) if brand else None
    return category if category != sources.SEARCH or _SEARCH_HOST.match(_subdomain(source)) else None


@lru_cache(_MOST_HOSTS)
def site_of(host: str | None) -> str | None:
    """The registrable domain of a lower-case host (https://publicsuffix.org/list/), else the host."""
    if not host or host.rpartition(".")[2].isdecimal() or ":" in host:
        return host or None
    return _suffixes().privatesuffix(host) or host


@cache
def _suffixes() -> PublicSuffixList:
    return PublicSuffixList()


def _brand(host: str) -> str | None:
    site = site_of(host)
    return site.partition(".")[0] if site and "." in site else None


def _subdomain(host: str) -> str:
    return host.removesuffix(site_of(host) or "").rstrip(".")


def _referral(host: str) -> tuple[str, str]:
    if host in sources.SEARCH_PACKAGES:
        return sources.SEARCH_PACKAGES[host], "organic"
    if category_of(host) == sources.SEARCH:
        return _brand(host) or host, "organic"
    return host.removeprefix("www."), "referral"


def _parameters(url: str | None) -> dict[str, str]:
    """The parameters of a URL's query by lower-case name, trimmed; the first of a name wins, empty ones are none."""
    if not url or "=" not in url:
        return {}
    query = url[:LONGEST_URL].partition("#")[0].partition("?")[2]
    try:
        pairs = parse_qsl(query, max_num_fields=_MOST_PARAMETERS)
    except ValueError:
        return {}
    found: dict[str, str] = {}
    for name, value in pairs:
        if trimmed := value.strip()[:LONGEST_VALUE]:
            found.setdefault(name.strip().lower(), trimmed)
    return found


def _host(url: str | None) -> str | None:
    if not url:
        return None
    try:
        parts = urlsplit(url[:LONGEST_URL].strip())
        host = parts.hostname
    except ValueError:
        return None
    if parts.scheme not in {"http", "https", "android-app", "ios-app", ""} or not host:
        return None
    return host.rstrip(".")[:LONGEST_VALUE] or None


def _path(url: str | None) -> str | None:
    if not url:
        return None
    try:
        return urlsplit(url[:LONGEST_URL].strip()).path[:LONGEST_URL] or "/"
    except ValueError:
        return None


def _lower(text: str | None) -> str | None:
    return text.lower() if text else None
