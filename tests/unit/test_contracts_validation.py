"""Findings: what they name, and what they never hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.validation import UNKNOWN_EVENT, Finding, findings
from spark_jobs.transforms import leaves
from speed_layer.replay.simulator import SimulatorConfig, simulate
from tests.unit.json_texts import messages

VIEWED: dict[str, Any] = {"type": "track", "event": "Product Viewed", "anonymousId": "a"}


def viewed(**properties: Any) -> dict[str, Any]:
    return VIEWED | {"properties": {"product_id": "P1"} | properties}


def test_a_finding_names_event_version_place_and_rule() -> None:
    [found] = findings(viewed(currency="euro"))
    assert (found.event, found.version, found.pointer) == ("Product Viewed", 1, "/properties/currency")
    assert found.keyword == "pattern"
    assert not found.is_note


@pytest.mark.parametrize("name", ["product viewed", "  PRODUCT VIEWED "])
def test_names_match_as_kinds_do(name: str) -> None:
    assert findings(viewed() | {"event": name}) == []
    assert findings(VIEWED | {"event": name})[0].message == "lacks properties"


@pytest.mark.parametrize("name", ["Tea Poured", "page", "track"])
def test_an_unknown_event_is_a_note(name: str) -> None:
    [found] = findings(VIEWED | {"event": name})
    assert found == Finding(name, None, "/event", UNKNOWN_EVENT, "has no contract")
    assert found.is_note


@pytest.mark.parametrize(
    ("message", "keyword"),
    [
        ({"type": "trakc"}, "unknown_type"),
        ({"type": ["track"]}, "unknown_type"),
        ({}, "unknown_type"),
        (VIEWED | {"event": 7}, "missing_event_name"),
        (VIEWED | {"event": " "}, "missing_event_name"),
        ({"type": "track"}, "missing_event_name"),
    ],
)
def test_what_is_no_event_at_all_is_no_note(message: dict[str, Any], keyword: str) -> None:
    [found] = findings(message)
    assert (found.event, found.version, found.keyword) == ("", None, keyword)
    assert not found.is_note


def test_a_simulated_shop_keeps_to_its_contracts() -> None:
    said = list(simulate(SimulatorConfig(events_target=1500, broken_rate=0)))
    assert len(said) > 1000
    assert [found for one in said for found in findings(leaves.decode(one.raw))] == []


def test_the_endpoint_s_type_wins() -> None:
    assert findings({"type": "track", "anonymousId": "a"}, "page") == []


@pytest.mark.parametrize("asked", [1, "1", leaves.NumberText("1.0"), None, True])
def test_a_version_may_be_named(asked: object) -> None:
    assert findings(viewed() | {"context": {"protocols": {"event_version": asked}}})[1:] == []


@pytest.mark.parametrize("asked", [2, 0, "-1", "one", "9" * 5000, 10**30])
def test_a_version_that_is_not_published_is_found(asked: object) -> None:
    found = findings(viewed() | {"context": {"protocols": {"event_version": asked}}})
    assert [f.keyword for f in found] == ["unknown_version"]


def test_a_message_is_held_against_the_version_it_names(tmp_path: Path) -> None:
    (tmp_path / "tea").mkdir()
    for version, required in ((1, []), (2, ["cups"])):
        schema = {"$id": f"urn:tidemark:event:tea:v{version}", "title": "Tea", "required": required}
        (tmp_path / f"tea/v{version}.json").write_text(json.dumps(schema))
    old, new = ({"type": "track", "event": "Tea", "context": {"protocols": {"event_version": v}}} for v in (1, 2))
    assert findings(old, folder=tmp_path) == []
    assert [(f.version, f.message) for f in findings(new, folder=tmp_path)] == [(2, "lacks cups")]
    assert [f.version for f in findings({"type": "track", "event": "Tea"}, folder=tmp_path)] == [2]


@pytest.mark.parametrize("price", ["9.99", "12345678901234567.89", "10", '"9.99"', "null"])
def test_numbers_may_be_the_text_they_were_written_in(price: str) -> None:
    raw = json.dumps(viewed()).replace('"P1"', f'"P1","price":{price}').encode()
    assert findings(leaves.decode(raw)) == []


@pytest.mark.parametrize("price", ["1e5", '"9,99"', "[9]", "9000000000001"])
def test_a_price_that_is_none_is_found(price: str) -> None:
    raw = json.dumps(viewed()).replace('"P1"', f'"P1","price":{price}').encode()
    assert [f.pointer for f in findings(leaves.decode(raw))] == ["/properties/price"]


SECRET = "customer@mail.example"


@given(st.sampled_from(["type", "timestamp", "userId", "properties", "context", "traits", "messageId"]), st.data())
def test_no_finding_quotes_what_was_sent(name: str, data: st.DataObject) -> None:
    shapes: list[Any] = [
        SECRET,
        [SECRET],
        {SECRET: SECRET},
        {"page": {"path": [SECRET]}},
        {"product_id": {"a": SECRET}},
    ]
    shapes += [{"price": SECRET, "currency": SECRET, "quantity": SECRET}]
    found = findings(viewed() | {name: data.draw(st.sampled_from(shapes))}, "track")
    assert all(SECRET not in f.message + f.pointer + f.keyword for f in found)


@given(messages())
def test_no_message_is_too_odd(raw: bytes) -> None:
    try:
        message = leaves.decode(raw)
    except (ValueError, RecursionError):
        return
    if isinstance(message, dict):
        assert all(isinstance(f, Finding) for f in findings(message))


@pytest.mark.parametrize("odd", ["\ud800", 10**400, float("nan"), float("inf"), b"bytes", {1: 2}])
def test_values_that_json_does_not_know_raise_nothing(odd: object) -> None:
    assert isinstance(findings(viewed(price=odd)), list)
