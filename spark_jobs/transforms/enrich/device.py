"""Device class, operating system and browser of a User-Agent string.

Families are those of ua-parser (https://github.com/ua-parser/uap-core); the class is Tidemark's own reading of the
string and those families, for uap-core has none.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import Final, NamedTuple

from ua_parser import BestAvailableResolver, Domain, Resolver, load_lazy_builtins

# No browser sends more; what lies behind it is noise, or an attack on memory.
LONGEST_AGENT: Final = 2_048
# Distinct strings that are remembered: about 20 MB at the very most, whatever the traffic.
MOST_AGENTS: Final = 10_000
SPIDER: Final = "Spider"

_TV: Final = re.compile(
    r"smart-?\s?tv|hbbtv|netcast|web0s|webos\.tv|apple ?tv|google ?tv|android ?tv|\btv safari|bravia|\broku|crkey"
    r"|\baft[a-z0-9]{1,6}\b|viera|aquos|philipstv|opera tv|\btizen\b.{0,40}\btv\b|\btv\b.{0,20}\bbuild/|stb\b|dlnadoc"
    r"|shield android|mibox|mitv|chromecast",
    re.IGNORECASE,
)
_CONSOLE: Final = re.compile(r"playstation|xbox|nintendo|steam deck|ouya", re.IGNORECASE)
_TABLET: Final = re.compile(
    r"ipad|\btablet\b(?! pc)|playbook|kindle(?!.*\bsd4930ur)|\bsilk/(?!.*\bmobile\b)", re.IGNORECASE
)
_MOBILE: Final = re.compile(
    r"iphone|ipod|\bmobi|windows phone|iemobile|blackberry|\bbb10\b|opera mini|opera mobi|kaios|symbian|series ?[46]0"
    r"|\bmidp|j2me|\bdalvik/|nokia|webos/|maemo|meego|bada/|fennec|palmos|palmsource|ucweb|\bwatch",
    re.IGNORECASE,
)
_BY_WORDS: Final = (("tv", _TV), ("other", _CONSOLE), ("tablet", _TABLET), ("mobile", _MOBILE))
_DESKTOP_SYSTEMS: Final = frozenset(
    "Windows|Mac OS X|Mac OS|Linux|Ubuntu|Kubuntu|Debian|Fedora|Red Hat|SUSE|Mint|CentOS|Gentoo|Arch Linux|Mandriva"
    "|Slackware|PCLinuxOS|Puppy|VectorLinux|Chrome OS|FreeBSD|OpenBSD|NetBSD|DragonFly BSD|Solaris|BeOS|Haiku".split(
        "|"
    ),
)


class Device(NamedTuple):
    """`device_class`: desktop, mobile, tablet, tv, bot or other; families are uap-core's. None where not known."""

    device_class: str | None
    os: str | None
    browser: str | None
    family: str | None


UNKNOWN: Final = Device(None, None, None, None)


def device_of(user_agent: str | None) -> Device:
    """The device that a User-Agent header names; every field None where it names none. Raises nothing."""
    return _device(user_agent[:LONGEST_AGENT]) if user_agent else UNKNOWN


@lru_cache(MOST_AGENTS)
def _device(user_agent: str) -> Device:
    # A lone surrogate is no UTF-8, and the parser is not Python's.
    found = _resolver()(user_agent.encode("utf-8", "replace").decode(), Domain.ALL)
    system = found.os.family if found.os else None
    browser = found.user_agent.family if found.user_agent else None
    family = found.device.family if found.device else None
    return Device(_class(user_agent, system, browser, family), system, browser, family)


@cache
def _resolver() -> Resolver:
    return BestAvailableResolver(load_lazy_builtins())


def _class(user_agent: str, system: str | None, browser: str | None, family: str | None) -> str | None:
    if family == SPIDER:
        return "bot"
    named = next((name for name, pattern in _BY_WORDS if pattern.search(user_agent)), None)
    if named is not None:
        return named
    if system == "Android":
        # By Google's advice phones say Mobile in a browser's string; an app's own string says nothing either way.
        return "tablet" if user_agent.startswith("Mozilla/") else "mobile"
    by_system = "desktop" if system in _DESKTOP_SYSTEMS else "mobile" if system == "iOS" else "other"
    return None if (system or browser or family) is None else by_system
