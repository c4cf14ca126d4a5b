"""The entrance: what goes in, what is refused, and what a fingerprint is of."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.envelope import (
    KEY_HEADER,
    LARGEST_EVENT_BYTES,
    Entered,
    Refused,
    Stamp,
    cut_ip,
    enter,
    fingerprint_of,
    parse_message,
    record_key,
)
from contracts.privacy import InstallationKeys, cleaned, might_be_personal
from contracts.reasons import Reason
from tests.unit.json_texts import json_texts, messages, object_text

SECRET = b"secret"
KEYS = InstallationKeys(SECRET, b"an attribute key")
STAMP = Stamp("2024-03-01T12:00:00.000Z", ip="203.0.113.77", user_agent="shop/1", source="web")
SAID: dict[str, Any] = {"type": "track", "event": "a", "anonymousId": "ada", "messageId": "m1"}


def entered(message: dict[str, Any] | bytes, stamp: Stamp = STAMP) -> Entered:
    raw = message if isinstance(message, bytes) else json.dumps(message).encode()
    found = enter(raw, None, stamp, KEYS)
    assert isinstance(found, Entered), found
    return found


def refusal(raw: bytes, call_type: str | None = None) -> Refused:
    found = enter(raw, call_type, STAMP, KEYS)
    assert isinstance(found, Refused)
    return found


def with_price(text: str, **more: Any) -> bytes:
    said = {name: json.dumps(value) for name, value in (SAID | more).items()}
    return object_text(said | {"properties": f'{{"price":{text}}}'}).encode()


def test_the_envelope_holds_the_sender_s_bytes() -> None:
    raw = b' {"type":"track", "anonymousId":"ada","messageId":"m1","n":1.10,  "sentAt":"s" }\n'
    found = entered(raw)
    assert found.value.endswith(b',"message":' + raw.strip() + b"}")
    assert json.loads(found.value) == {
        "type": "track",
        "messageId": "m1",
        "receivedAt": STAMP.received_at,
        "sentAt": "s",
        "fingerprint": found.fingerprint,
        "ip": "203.0.113.0",
        "userAgent": "shop/1",
        "source": "web",
        "message": json.loads(raw),
    }
    assert found.key == b"ada"
    assert found.headers == [(KEY_HEADER, record_key("m1", found.fingerprint))]
    assert (found.message_id, found.call_type) == ("m1", "track")


def test_the_endpoint_s_type_wins() -> None:
    found = enter(b'{"type":"page","userId":"u"}', "screen", STAMP, KEYS)
    assert isinstance(found, Entered)
    assert found.call_type == json.loads(found.value)["type"] == "screen"
    assert found.fingerprint == fingerprint_of("screen", {"userId": "u"}, SECRET)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"{" + b" " * LARGEST_EVENT_BYTES + b"}", Reason.TOO_LARGE),
        (b'{"a":' + b"[" * 64 + b"]" * 64 + b"}", Reason.TOO_DEEP),
        (b"[" * 20_000, Reason.TOO_DEEP),
        (b'{"a":"\xff"}', Reason.INVALID_UTF8),
        (b'{"a":"\\ud800"}', Reason.INVALID_UTF8),
        (b'{"a":"\\udc00\\ud800"}', Reason.INVALID_UTF8),
        (b"", Reason.NOT_JSON),
        (b"null", Reason.NOT_JSON),
        (b'{"a":1', Reason.NOT_JSON),
        (b'{"a":NaN}', Reason.NOT_JSON),
        (b'{"a":-Infinity}', Reason.NOT_JSON),
        (b'{"a":01}', Reason.NOT_JSON),
        (b'{"a":' + b"9" * 5000 + b"}", Reason.NOT_JSON),
        (b'\xef\xbb\xbf{"a":1}', Reason.NOT_JSON),
        (b'{"a":1,"a":1}', Reason.DUPLICATE_KEY),
        (b'{"properties":{"a":1,"\\u0061":2}}', Reason.DUPLICATE_KEY),
        (b'{"type":"track","properties":[]}', Reason.WRONG_TYPE),
        (b'{"type":"track","context":"x"}', Reason.WRONG_TYPE),
        (b'{"type":"track","anonymousId":true}', Reason.WRONG_TYPE),
        (b'{"type":"track","anonymousId":1.5}', Reason.WRONG_TYPE),
        (b'{"type":"purchase","anonymousId":"null"}', Reason.UNKNOWN_TYPE),
        (b'{"type":["track"],"anonymousId":"a"}', Reason.UNKNOWN_TYPE),
        (b'{"anonymousId":"a"}', Reason.UNKNOWN_TYPE),
        (b'{"type":"track"}', Reason.MISSING_ID),
        (b'{"type":"track","anonymousId":"","userId":null}', Reason.MISSING_ID),
        (b'{"type":"track","anonymousId":" Undefined "}', Reason.ILLEGAL_ID),
        (b'{"type":"track","anonymousId":"' + b"v" * 256 + b'"}', Reason.ILLEGAL_ID),
    ],
)
def test_refusals(raw: bytes, reason: Reason) -> None:
    assert refusal(raw) == Refused(reason)


def test_the_size_and_depth_that_still_enter() -> None:
    start = b'{"type":"track","anonymousId":"a","x":"'
    entered(start + b"x" * (LARGEST_EVENT_BYTES - len(start) - 2) + b'"}')
    entered(b'{"type":"track","anonymousId":"a","x":' + b"[" * 63 + b"]" * 63 + b"}")
    entered(b'{"type":"track","anonymousId":"a","x":"' + b"[" * 500 + b'\\"{[" }')


def test_consent_comes_before_every_other_judgement_of_what_was_read() -> None:
    withheld = b'{"type":"nonsense","messageId":"m1","context":{"consent":{"collect":false}}}'
    assert refusal(withheld) == Refused(None, "m1")
    entered(SAID | {"context": {"consent": {"collect": None, "analyse": False}}})


def test_an_id_is_made_where_none_was_sent() -> None:
    timed = entered({**SAID, "messageId": None, "timestamp": "2024-03-01T10:00:00Z"})
    assert timed.message_id == timed.fingerprint
    assert entered({**SAID, "messageId": "x" * 256}).message_id != entered({**SAID, "messageId": ""}).message_id


def test_a_fingerprint_is_of_what_was_said_not_how_it_travelled() -> None:
    base = entered(SAID).fingerprint
    assert len(base) == 32
    assert entered(dict(reversed(SAID.items()))).fingerprint == base
    assert entered(SAID | {"sentAt": "x", "messageId": "m2", "receivedAt": "y", "writeKey": "k"}).fingerprint == base
    assert entered(SAID, Stamp("2030-01-01T00:00:00.000Z", "later", "2001:db8::1", "other", "app")).fingerprint == base
    assert fingerprint_of("track", parse_message(json.dumps(SAID).encode()), b"other") != base


@pytest.mark.parametrize(
    "other",
    [
        {"event": "b"},
        {"anonymousId": "bob"},
        {"userId": "u"},
        {"previousId": "p"},
        {"groupId": "g"},
        {"name": "n"},
        {"type": "page"},
        {"timestamp": "2024-03-01T10:00:00Z"},
        {"originalTimestamp": "2024-03-01T10:00:00Z"},
        {"properties": {"price": 1}},
        {"traits": {"plan": "gold"}},
        {"context": {"page": {"path": "/"}}},
    ],
)
def test_a_fingerprint_covers_all_that_was_said(other: dict[str, Any]) -> None:
    assert entered(SAID | other).fingerprint != entered(SAID).fingerprint


def test_a_fingerprint_keeps_numbers_as_written() -> None:
    prints = [entered(with_price(text)).fingerprint for text in ("1.1", "1.10", "1.100", "11e-1", '"1.10"', "1", "1.0")]
    assert len(set(prints)) == len(prints)
    assert entered(with_price("1.1")).fingerprint == entered(with_price("1.1", sentAt="x")).fingerprint


@pytest.mark.parametrize("original", ["", 0, False, [], {}])
def test_a_fingerprint_covers_the_time_that_is_read(original: Any) -> None:
    """The transforms read originalTimestamp unless it is null: what makes a record bad must not pass for its copy."""
    timed = SAID | {"timestamp": "2024-03-01T10:00:00Z"}
    assert entered(timed | {"originalTimestamp": original}).fingerprint != entered(timed).fingerprint
    assert entered(timed | {"originalTimestamp": None}).fingerprint == entered(timed).fingerprint


@given(st.dictionaries(st.text(), json_texts, max_size=5), st.randoms(use_true_random=False))
def test_a_fingerprint_ignores_the_order_of_keys(properties: dict[str, str], rng: Any) -> None:
    shuffled = list(properties.items())
    rng.shuffle(shuffled)
    said = {name: json.dumps(value) for name, value in SAID.items()}
    found = [
        enter(object_text(said | {"properties": object_text(members)}).encode(), None, STAMP, KEYS)
        for members in (properties, dict(shuffled))
    ]
    prints = [one.fingerprint if isinstance(one, Entered) else one.reason for one in found]
    assert prints[0] == prints[1]


@given(st.binary(), st.sampled_from([None, "track", "page"]))
def test_no_bytes_raise(raw: bytes, call_type: str | None) -> None:
    found = enter(raw, call_type, STAMP, KEYS)
    assert isinstance(found, Refused)


@settings(max_examples=300)
@given(messages())
def test_no_message_raises_and_a_key_is_of_its_id_and_fingerprint(raw: bytes) -> None:
    found = enter(raw, None, STAMP, KEYS)
    if isinstance(found, Entered):
        envelope = json.loads(found.value.partition(b',"message":')[0] + b"}")
        assert found.headers == [(KEY_HEADER, record_key(envelope["messageId"], envelope["fingerprint"]))]
        assert envelope["type"] == found.call_type
        assert found.value.endswith(b',"message":' + cleaned(raw, KEYS) + b"}")
        assert might_be_personal(raw) or found.value.endswith(raw + b"}")
    else:
        assert found.reason is None or found.reason in set(Reason)


@pytest.mark.parametrize(
    ("ip", "cut"),
    [
        ("203.0.113.77", "203.0.113.0"),
        ("2001:db8:1:2:3::4", "2001:db8:1::"),
        ("::1", "::"),
        ("testclient", None),
        ("", None),
        (None, None),
    ],
)
def test_addresses_are_cut(ip: str | None, cut: str | None) -> None:
    assert cut_ip(ip) == cut
