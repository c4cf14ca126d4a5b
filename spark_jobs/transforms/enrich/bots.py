"""Robots that say so: what in a User-Agent string declares one. They are flagged, never dropped.

Signals are independent of each other: the list of https://github.com/monperrus/crawler-user-agents, uap-core's device
family `Spider`, and words by which clients that nobody has listed yet name themselves.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import Final

from crawleruseragents import CRAWLER_USER_AGENTS_DATA
from ua_parser import BestAvailableResolver, Domain, Resolver, UserAgent
from ua_parser.core import Matcher
from ua_parser.matchers import UserAgentMatcher

from spark_jobs.transforms.enrich.device import LONGEST_AGENT, MOST_AGENTS, SPIDER, device_of

CRAWLER_LIST: Final = "crawler_list"
SPIDER_DEVICE: Final = "spider_device"
INDICATORS: Final = (CRAWLER_LIST, SPIDER_DEVICE, "bot_word", "headless_browser", "http_library", "contact_address")

_ANDROID_MODEL: Final = re.compile(r"(?<=android)([ -]?[0-9.]*;)( [a-z]{2}[-_][a-z]{2};)?[^;)]*")
_WORDS: Final = {
    "bot_word": re.compile(
        # The makers Cubot and Bigbot build telephones.
        r"(?<!cu)bots?(?![a-z])|crawl|spider(?!man)|spyder|scrap(?:er|y|ing)|slurp|\bfetch(?:er)?\b|archiver\b|indexer\b"
        r"|\bvalidator|\buptime|\bscanner\b|link ?check|site ?audit|feed(?:fetch|pars|read|valid)"
        r"|\bmonitor(?:ing)?\b|checker\b|link ?preview|verification\b|\bmonitor/|subscribers?\b",
    ),
    "headless_browser": re.compile(
        r"headless|phantomjs|slimerjs|puppeteer|playwright|selenium|webdriver|htmlunit|\bjsdom|zombie\.js|splash\b|cypress/",
    ),
    "http_library": re.compile(
        r"\bcurl\b|\bwget\b|python|aiohttp|\bhttpx\b|go-http-client|^java[/-]|\blibwww|httpclient|http_client|\baxios\b"
        r"|node-fetch|node\.js|\bundici\b|^got\b|^node\b|^ruby\b|^php\b|\bperl\b|guzzle|httpie|postman|^insomnia|powershell"
        r"|restsharp|httparty|faraday|mechanize|^deno/|^bun/|reqwest|\bhyper/|^rest-client|^symfony|\blwp\b|typhoeus"
        r"|winhttp|urlgrabber|^requests\b|^pycurl|http\.rb|^ok?urllib|superagent",
    ),
    "contact_address": re.compile(
        r"(?:\+|[(;,-]) ?https?:|[a-z0-9_.-]+(?:@|\[at\]| at )[a-z0-9-]+(?:\.|\[dot\]| dot )[a-z]{2,}"
    ),
}


# The HTTP library through which an app speaks: a robot where nothing else speaks, part of the app where it is one.
_TRANSPORT: Final = re.compile(
    r"\b(?:okhttp|cfnetwork|darwin|alamofire|dart|ktor-client|apache-httpclient|volley|reactnative|expo|dalvik)\b"
    r"[/ ]?\S*",
    re.IGNORECASE,
)


def bot_indicators(user_agent: str | None, *, is_app: bool = False) -> list[str]:
    """What declares this User-Agent a robot, out of `INDICATORS` and in their order; empty where nothing does.

    `is_app`: the sender says that it is an app. Then the HTTP library it speaks through declares nothing.
    Raises nothing. No header at all declares nothing.
    """
    if not user_agent:
        return []
    text = user_agent[:LONGEST_AGENT]
    if not is_app:
        return list(_indicators(text))
    return [name for name in _indicators(_TRANSPORT.sub(" ", text).strip()) if name != "http_library"]


@lru_cache(MOST_AGENTS)
def _indicators(user_agent: str) -> tuple[str, ...]:
    text = user_agent.encode("utf-8", "replace").decode()
    found = [CRAWLER_LIST] if _is_listed(text) else []
    if device_of(user_agent).family == SPIDER:
        found.append(SPIDER_DEVICE)
    # A telephone's model may be called anything.
    words = _ANDROID_MODEL.sub(r"\1", text.lower())
    return (*found, *(name for name, pattern in _WORDS.items() if pattern.search(words)))


def _is_listed(text: str) -> bool:
    return _listed()(text, Domain.USER_AGENT).user_agent is not None


@cache
def _listed() -> Resolver:
    """All patterns of the list at once: ua-parser's engine skips those whose literal parts are not in the string."""
    matchers: list[Matcher[UserAgent]] = [
        UserAgentMatcher(entry["pattern"], "crawler") for entry in CRAWLER_USER_AGENTS_DATA
    ]
    return BestAvailableResolver((matchers, [], []))
