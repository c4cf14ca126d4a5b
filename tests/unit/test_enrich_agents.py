"""Devices and declared bots: third-party lists, ordinary people, any text, and memory."""

from __future__ import annotations

import pytest
from crawleruseragents import CRAWLER_USER_AGENTS_DATA
from hypothesis import given
from hypothesis import strategies as st
from ua_parser import Domain, PartialResult

from spark_jobs.transforms.enrich import bots, device
from spark_jobs.transforms.enrich.bots import CRAWLER_LIST, INDICATORS, bot_indicators
from spark_jobs.transforms.enrich.device import UNKNOWN, device_of
from tests.unit.ordinary_agents import CLASSES

ANY_TEXT = st.text(alphabet=st.characters(), max_size=300)


@pytest.mark.parametrize(("name", "agents"), CLASSES.items())
def test_ordinary_agents_have_their_class(name: str, agents: list[str]) -> None:
    assert {a: device_of(a).device_class for a in agents} == dict.fromkeys(agents, name)


def test_no_ordinary_agent_is_a_bot() -> None:
    agents = [agent for group in CLASSES.values() for agent in group]
    assert len(set(agents)) >= 60
    assert {a: found for a in agents if (found := bot_indicators(a))} == {}


def test_instances_of_the_crawler_list_are_flagged() -> None:
    instances = [i for entry in CRAWLER_USER_AGENTS_DATA for i in entry.get("instances", [])]
    assert len(instances) > 1_500
    assert sum(bool(bot_indicators(i)) for i in instances) >= 0.99 * len(instances)
    # The other signals find most of them alone: a list that is out of date is no disaster.
    assert sum(bool(set(bot_indicators(i)) - {CRAWLER_LIST}) for i in instances) >= 0.75 * len(instances)


@pytest.mark.parametrize(
    ("agent", "indicator"),
    [
        ("Mozilla/5.0 (compatible; Zorgbot/3.1)", "bot_word"),
        ("zorg-crawler/1.0", "bot_word"),
        ("Mozilla/5.0 (X11; Linux x86_64) HeadlessChrome/125.0.0.0 Safari/537.36", "headless_browser"),
        ("python-zorg/2.0", "http_library"),
        ("curl/8.5.0", "http_library"),
        ("Zorg/1.0 (+https://zorg.example/about)", "contact_address"),
        ("Zorg/1.0 ops@zorg.example", "contact_address"),
    ],
)
def test_unlisted_robots_name_themselves(agent: str, indicator: str) -> None:
    assert indicator in bot_indicators(agent)


@pytest.mark.parametrize(
    ("agent", "system", "browser"),
    [
        (CLASSES["desktop"][0], "Windows", "Chrome"),
        (CLASSES["desktop"][1], "Windows", "Edge"),
        (CLASSES["desktop"][5], "Mac OS X", "Chrome"),
        (CLASSES["mobile"][1], "Android", "Chrome Mobile"),
        (CLASSES["tablet"][0], "iOS", "Mobile Safari"),
    ],
)
def test_families_are_those_of_uap_core(agent: str, system: str, browser: str) -> None:
    assert device_of(agent)[1:3] == (system, browser)


def test_what_says_nothing_is_null() -> None:
    assert device_of(None) == device_of("") == device_of("zzz") == UNKNOWN
    assert bot_indicators(None) == bot_indicators("") == []


@given(ANY_TEXT)
def test_any_text_is_read(agent: str) -> None:
    device_of(agent)
    assert set(bot_indicators(agent)) <= set(INDICATORS)


@pytest.mark.parametrize("agent", ["x" * 10_000_000, "(" * 1_000_000, "Android " * 100_000, "\ud800" * 5_000])
def test_absurdly_long_agents_are_cut(agent: str) -> None:
    assert device_of(agent) == device_of(agent[: device.LONGEST_AGENT])
    assert bot_indicators(agent) == bot_indicators(agent[: device.LONGEST_AGENT])


def test_a_million_agents_do_not_grow_the_caches(monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = PartialResult(Domain.ALL, None, None, None, "")
    monkeypatch.setattr(device, "_resolver", lambda: lambda *_: nothing)
    monkeypatch.setattr(bots, "_is_listed", lambda _: False)
    monkeypatch.setattr(bots, "_WORDS", {})
    for number in range(1_000_000):
        bot_indicators(f"agent {number}")
    for memory in (device._device, bots._indicators):
        assert memory.cache_info().currsize == memory.cache_info().maxsize == device.MOST_AGENTS
        memory.cache_clear()
