"""What the entrance leaves of a message: nothing direct in clear, everything else as it was sent."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.dictionary import FIELDS, Pii, of_class
from contracts.envelope import KEY_HEADER, Entered, Stamp, enter, record_key
from contracts.privacy import (
    InstallationKeys,
    attribute,
    cleaned,
    cleaned_letter,
    identifier,
    might_be_personal,
    pseudonym,
)
from contracts.privacy.clean import _Cleaning
from contracts.privacy.json_text import read
from contracts.privacy.places import MESSAGE
from contracts.settings import Settings
from spark_jobs.transforms.parse import parse
from tests.unit.json_texts import messages, object_text

KEYS = InstallationKeys(b"the secret of tests", b"an attribute key")
ROTATED = InstallationKeys(KEYS.secret, b"another attribute key")
STAMP = Stamp("2024-03-01T12:00:00.000Z", ip="203.0.113.77")
SAID: dict[str, Any] = {"type": "track", "event": "a", "anonymousId": "ada", "messageId": "m1"}
PSEUDONYM = re.compile(r"(p|k[0-9a-f]{8})_[0-9a-f]{32}")
EMAIL, PHONE = "ada.lovelace@mail.example", "+49 151 1234-5678"


def entered(message: dict[str, Any] | bytes, keys: InstallationKeys = KEYS, stamp: Stamp = STAMP) -> Entered:
    raw = message if isinstance(message, bytes) else json.dumps(message).encode()
    found = enter(raw, None, stamp, keys)
    assert isinstance(found, Entered), found
    return found


def kept(message: dict[str, Any] | bytes, keys: InstallationKeys = KEYS) -> Any:
    return json.loads(entered(message, keys).value)["message"]


def at(pointer: str, value: Any) -> dict[str, Any]:
    """A message with a value at a place of the dictionary's."""
    return SAID | _nested(pointer.split("/")[1:], value)


def _nested(names: list[str], value: Any) -> Any:
    if not names:
        return value
    inner = _nested(names[1:], value)
    return [inner] if names[0] == "*" else {names[0]: inner}


# --- identifiers --------------------------------------------------------------------------------------------------

IDENTIFIERS = (*of_class(Pii.PSEUDONYMOUS), "/groupId", "/messageId", "/properties/checkout_id")


@pytest.mark.parametrize("pointer", IDENTIFIERS)
@pytest.mark.parametrize("spellings", [(EMAIL, f" {EMAIL.upper()} "), (PHONE, "+4915112345678")])
def test_an_identifier_that_is_a_contact_is_one_pseudonym_for_ever(pointer: str, spellings: tuple[str, str]) -> None:
    found = {json.dumps(kept(at(pointer, s), k)) for s in spellings for k in (KEYS, ROTATED)}
    assert len(found) == 1
    assert identifier(spellings[0], KEYS) in found.pop()


def test_an_identifier_that_holds_a_contact_is_replaced_as_a_whole() -> None:
    assert kept(SAID | {"userId": f"mailto:{EMAIL}"})["userId"] == pseudonym(f"mailto:{EMAIL}", KEYS)
    long = f"{'a@b.de,' * 30}"
    assert entered(SAID | {"anonymousId": long}).key == identifier(long, KEYS).encode()
    assert len(identifier(long, KEYS)) == 34


@pytest.mark.parametrize(
    "given_id", ["1515915625519388267", "550e8400-e29b-41d4-a716-446655440000", "u 1", 7, "4915112345678"]
)
def test_other_identifiers_stay(given_id: Any) -> None:
    assert kept(SAID | {"anonymousId": given_id})["anonymousId"] == given_id


@pytest.mark.parametrize("name", ["anonymousId", "userId"])
def test_key_envelope_and_message_agree_on_the_visitor_and_the_message(name: str) -> None:
    made = entered({"type": "page", name: EMAIL, "messageId": EMAIL})
    envelope = json.loads(made.value)
    assert made.key.decode() == envelope["message"][name] == pseudonym(EMAIL, KEYS)
    assert made.message_id == envelope["messageId"] == envelope["message"]["messageId"] == pseudonym(EMAIL, KEYS)
    assert made.headers == [(KEY_HEADER, record_key(made.message_id, made.fingerprint))]


def test_secrets_decide_and_are_not_shown() -> None:
    other = InstallationKeys(b"another secret of tests", KEYS.attribute_key)
    assert identifier(EMAIL, KEYS) != identifier(EMAIL, other)
    assert attribute("Ada", KEYS) != attribute("Ada", ROTATED)
    assert attribute("Ada", KEYS).startswith(f"k{KEYS.attribute_key_id}_")
    assert "secret" not in repr(KEYS).replace("secret=", "")
    assert "b'" not in repr(KEYS)


# --- direct attributes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pointer", [p for p in of_class(Pii.DIRECT) if p.startswith("/traits/")])
@pytest.mark.parametrize("value", ["Ada Lovelace", 15551234567, 1.10, {"street": "Main St 5", "no": [7]}, [["Ada"]]])
def test_a_direct_trait_is_replaced_to_its_leaves(pointer: str, value: Any) -> None:
    left = json.dumps(kept(at(pointer, value)))
    assert PSEUDONYM.search(left)
    for clear in ("Ada", "Main", "1555", "1.1", ": 7", "[7"):
        assert clear not in left


@pytest.mark.parametrize(
    "name", ["first_name", "LastName", "Date-Of-Birth", "E-MAIL", "phone number", "zip", "nickname"]
)
def test_names_of_traits_are_compared_loosely(name: str) -> None:
    assert PSEUDONYM.fullmatch(kept(SAID | {"traits": {name: "x"}})["traits"][name])


@pytest.mark.parametrize("name", ["email", "First_Name", "dateOfBirth", "PHONE", "card-number"])
@pytest.mark.parametrize("place", ["properties", "context", "integrations"])
def test_names_that_mean_a_person_do_so_everywhere(name: str, place: str) -> None:
    assert PSEUDONYM.fullmatch(kept(SAID | {place: {"form": [{name: "x"}]}})[place]["form"][0][name])


def test_all_of_context_traits_but_booleans_and_nulls() -> None:
    given = {"plan": "gold", "n": 5, "is": True, "none": None, "empty": "", "list": ["a", {"b": "c"}]}
    left = kept(SAID | {"context": {"traits": given}})["context"]["traits"]
    assert (left["is"], left["none"], left["empty"]) == (True, None, "")
    assert all(PSEUDONYM.fullmatch(text) for text in (left["plan"], left["n"], left["list"][0], left["list"][1]["b"]))


def test_addresses_are_cut_and_coordinates_go() -> None:
    location = {"latitude": 52.5, "longitude": 13.4, "lat": 1, "country": "DE"}
    left = kept(SAID | {"context": {"ip": "203.0.113.77", "location": location}})["context"]
    assert left == {"ip": "203.0.113.0", "location": {"country": "DE"}}
    assert kept(SAID | {"context": {"ip": "Ada's"}})["context"] == {}
    assert kept(SAID | {"context": {"ip": ["203.0.113.77"]}})["context"] == {}


# --- contacts anywhere --------------------------------------------------------------------------------------------


def test_contacts_in_undeclared_fields_names_and_urls() -> None:
    url = "https://shop.example/?email=ada%40b.example"
    left = kept(
        SAID | {"event": f"Mail {EMAIL}", "x": [[f"to {EMAIL}"]], "properties": {EMAIL: 1, "url": url, "q": PHONE}}
    )
    assert left["event"] == f"Mail {pseudonym(EMAIL, KEYS)}"
    assert left["x"] == [[f"to {attribute(EMAIL, KEYS)}"]]
    assert left["properties"][attribute(EMAIL, KEYS)] == 1
    assert left["properties"]["url"] == f"https://shop.example/?email={pseudonym('ada@b.example', KEYS)}"
    assert left["properties"]["q"] == attribute(PHONE, KEYS)


def test_names_that_become_one_stay_two() -> None:
    names = kept(SAID | {"properties": {"a@b.de": 1, "A@B.de": 2}})["properties"]
    assert sorted(names.values()) == [1, 2]


def test_a_robot_s_operator_stays_known_and_a_code_a_code() -> None:
    robot = "Bot/1.0 (+https://bot.example; bot@bot.example; +49 151 12345678)"
    line = {"sku": "555-123-4567", "product_id": "123-456-7890", "name": "n"}
    said = SAID | {"context": {"userAgent": robot}, "properties": {"products": [line]}}
    assert kept(said) == said


def test_the_batch_s_sent_at_and_the_own_are_texts_too() -> None:
    by_batch = json.loads(entered(SAID, stamp=Stamp("2024-03-01T12:00:00.000Z", sent_at=EMAIL)).value)
    own = json.loads(entered(SAID | {"sentAt": EMAIL}).value)
    assert by_batch["sentAt"] == own["sentAt"] == own["message"]["sentAt"] == pseudonym(EMAIL, KEYS)


# --- what stays ---------------------------------------------------------------------------------------------------


def test_numbers_keep_their_digits_and_members_their_order() -> None:
    numbers = '{"z":1.10,"a":-0,"e":1E5,"big":' + "9" * 40 + ',"price":10.000000000000000001}'
    raw = object_text({n: json.dumps(v) for n, v in SAID.items()} | {"properties": numbers, "userId": f'"{EMAIL}"'})
    value = entered(raw.encode()).value
    assert f'"properties":{numbers}'.encode() in value
    assert EMAIL.encode() not in value


@pytest.mark.parametrize(
    "raw",
    [
        b' {"type":"page" , "userId":"u","n":1.10,"q":"\\u00e9 \\u0041"} ',
        b'{"type":"page","userId":"u","traits":{"plan":"gold","age":36, "x":"\\u0041"}}',
        b'{"type":"page","userId":"u","context":{"ip":"203.0.113.0","location":{"country":"DE","latitude":null}}}',
        b'{"type":"page","userId":"u","context":{"userAgent":"bot@bot.example (+1)"}, "p":"a @ b"}',
    ],
)
def test_bytes_are_unchanged_where_nothing_is_to_be_replaced(raw: bytes) -> None:
    assert cleaned(raw, KEYS) is raw
    assert entered(raw).value.endswith(b',"message":' + raw.strip() + b"}")


@given(messages())
def test_the_quick_look_agrees_with_the_walk(raw: bytes) -> None:
    if might_be_personal(raw):
        return
    try:
        value = read(raw)
    except ValueError:
        return
    work = _Cleaning(KEYS)
    work.value(value, MESSAGE)
    assert not work.has_replaced


# --- whatever the message -----------------------------------------------------------------------------------------

CANARY, NUMBER = "Qx7canary", "765-43210"
CLEAR = (CANARY, f"{CANARY}@mail.example", f"{CANARY.upper()}@MAIL.example", f"to {CANARY}@mail.example!")
NUMBERS = (f"+49 151 {NUMBER}", f"call (0151) {NUMBER}", f"?tel=%2B49%20151%20{NUMBER}&x")
DIRECT_AT = tuple(p for p in of_class(Pii.DIRECT))
ANYWHERE = tuple(f.pointer for f in FIELDS if f.pii is not Pii.DIRECT and f.name != "userAgent")
# The endpoint gives the type, and a collection refused leaves nothing.
UNUSABLE = {"/type", "/context/consent/collect"}


@st.composite
def personal_messages(draw: st.DrawFn) -> tuple[bytes, bool]:
    """A message with canaries: anything at direct places, contacts anywhere; and whether some letters are escaped."""
    wrapped = st.recursive(st.sampled_from(CLEAR), lambda inner: st.lists(inner, min_size=1, max_size=2), max_leaves=3)
    said = dict(SAID) | {"anonymousId": draw(st.sampled_from(["ada", CLEAR[1]]))}
    for pointer in draw(st.lists(st.sampled_from(DIRECT_AT), max_size=4)):
        said = _merged(said, _nested(pointer.split("/")[1:], draw(wrapped | st.dictionaries(st.just("k"), wrapped))))
    for pointer in draw(st.lists(st.sampled_from([p for p in ANYWHERE if p not in UNUSABLE]), max_size=6)):
        is_code = pointer.endswith(("_id", "/sku"))
        contact = draw(st.sampled_from(CLEAR[1:] if is_code else (*CLEAR[1:], *NUMBERS)))
        odd = st.sampled_from([contact, [contact], {"x": [contact]}, {contact: 1}, {"email": CANARY}])
        value = contact if pointer.count("/") == 1 else draw(odd)
        if pointer not in {"/properties", "/context", "/traits"}:
            said = _merged(said, _nested(pointer.split("/")[1:], value))
    text = json.dumps(said, ensure_ascii=draw(st.booleans()))
    is_escaped = draw(st.booleans())
    return (_escaped(text) if is_escaped else text).encode(), is_escaped


def _escaped(text: str) -> str:
    """The same JSON with some letters, and at signs, as escapes."""
    return re.sub(r"(?<=[\w@.:! ])[@xQ7]", lambda match: f"\\u{ord(match[0]):04x}", text)


def _merged(one: Any, other: Any) -> Any:
    if isinstance(one, dict) and isinstance(other, dict):
        return one | {name: _merged(one.get(name), value) for name, value in other.items()}
    return one + other if isinstance(one, list) and isinstance(other, list) else other


@settings(max_examples=400)
@given(personal_messages())
def test_nothing_direct_reaches_a_record_in_clear(drawn: tuple[bytes, bool]) -> None:
    raw, _ = drawn
    made = enter(raw, "track", STAMP, KEYS)
    if isinstance(made, Entered):
        for part in (made.value, made.key, made.message_id.encode(), *(value for _, value in made.headers)):
            assert CANARY.lower().encode() not in part.lower()
            assert NUMBER.encode() not in part
        everything = json.dumps(json.loads(made.value), ensure_ascii=False)
        assert CANARY.lower() not in everything.lower()
        assert NUMBER not in everything


@settings(max_examples=400)
@given(personal_messages(), st.integers(0, 300), st.sampled_from([b"", b"{", b"\xff", b',"n":NaN}']))
def test_nothing_direct_reaches_a_dead_letter_in_clear(drawn: tuple[bytes, bool], cut: int, tail: bytes) -> None:
    """Whole or cut: contacts and members that mean a person are found in broken text too, where they are whole."""
    raw, is_escaped = drawn
    left = cleaned_letter(raw, KEYS).lower()
    assert CANARY.lower().encode() not in left
    assert NUMBER.encode() not in left
    if not is_escaped:
        left = cleaned_letter(raw[: len(raw) - cut] + tail, KEYS).lower()
        assert f"{CANARY}@mail.example".lower().encode() not in left


@pytest.mark.parametrize(
    "raw",
    [
        b'{"traits":{"name":"Qx7canary","age":36},',
        b'{"first_name":"Qx7canary',
        b'{"email":"Qx7canary\\u0040b.de","ip":"203.0.113.77","latitude":52.5201,',
        b'\xff{"userId":"Qx7canary@b.de"}',
        b'{"userId":"Qx7canary@b.de","userId":"Qx7canary@b.de","n":NaN}',
        b'{"userId":"Qx7canary@b.de","x":' + b"[" * 5000,
        b'{"userId":"Qx7canary@b.de","x":"\\ud800"}',
        b"Qx7canary@b.de",
    ],
)
def test_broken_letters(raw: bytes) -> None:
    left = cleaned_letter(raw, KEYS)
    for clear in (b"Qx7canary", b"113.77", b"52.5"):
        assert clear not in left


def test_a_letter_shows_what_was_wrong() -> None:
    raw = b'{"userId":"a@b.de","userId":"u2","n":NaN,"m":1.10,"x":"\\ud800"}'
    expected = raw.replace(b"a@b.de", pseudonym("a@b.de", KEYS).encode())
    assert cleaned_letter(raw, KEYS) == expected
    assert cleaned_letter(b'{"userId": "null"', KEYS) == b'{"userId": "null"'


@given(st.binary())
def test_no_letter_raises(raw: bytes) -> None:
    cleaned_letter(raw, KEYS)
    cleaned_letter(b'{"email":"' + raw, KEYS)


# --- rotation -----------------------------------------------------------------------------------------------------


@settings(max_examples=300)
@given(personal_messages())
def test_a_rotation_makes_no_duplicates_and_changes_no_event(drawn: tuple[bytes, bool]) -> None:
    """The record key is the same under both keys, and so is all that measures read."""
    before, after = (enter(drawn[0], "track", STAMP, keys) for keys in (KEYS, ROTATED))
    if isinstance(before, Entered):
        assert isinstance(after, Entered)
        assert (before.headers, before.key, before.fingerprint) == (after.headers, after.key, after.fingerprint)
        key, rules = before.headers[0][1], Settings().rules
        assert parse(key, before.value, rules) == parse(key, after.value, rules)


def test_a_rotation_changes_attributes() -> None:
    said = SAID | {"traits": {"name": "Ada"}, "properties": {"note": EMAIL}}
    before, after = kept(said), kept(said, ROTATED)
    assert before["traits"] != after["traits"]
    assert before["properties"] != after["properties"]
