"""What is taken for an e-mail address or a telephone number inside a text, and what is not."""

from __future__ import annotations

import json
import time
from urllib.parse import parse_qs, quote, quote_plus, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.privacy.contacts import might_hold, replaced, whole

NAME = "p_0"


def found(text: str) -> list[str]:
    """The contacts in a text, in their one spelling."""
    names: list[str] = []
    replaced(text, lambda contact: names.append(contact) or NAME)  # type: ignore[func-returns-value]
    return names


@pytest.mark.parametrize(
    ("text", "contacts"),
    [
        ("write to Ada.Lovelace+shop@Mail.Example.COM, please", ["ada.lovelace+shop@mail.example.com"]),
        ("a@b.de,b@c.de;<c@d.de>", ["a@b.de", "b@c.de", "c@d.de"]),
        ("a@b.de|b@c.de+c@d.de'd@e.de", ["a@b.de", "|b@c.de", "+c@d.de", "'d@e.de"]),
        ("jörg@müller.example", ["jörg@müller.example"]),
        ("ada\uff20example.com ada@example.com1", ["ada@example.com", "ada@example.com"]),
        ('"ada lovelace"@example.com', ['"ada lovelace"@example.com']),
        ("@ada@social.example", ["ada@social.example"]),
        ("?email=ada%40b.example&x=1", ["ada@b.example"]),
        ("?next=%2Fa%3Femail%3Dada%40b.example%26to%3Dbob%2540c.example", ["ada@b.example", "bob@c.example"]),
        ("?q=J%C3%B6rg%40m%C3%BCller.example", ["jörg@müller.example"]),
        ("?email=ada%40b%2Eexample&x", ["ada@b.example"]),
        (r'{"email":"ada\u0040b.example"}', ["ada@b.example"]),
        ("100%ab@c.de", ["100\ufffd@c.de"]),
        ("call +49 (0)151 / 1234-5678 now", ["+49015112345678"]),
        ("+4915112345678", ["+4915112345678"]),
        ("tel:+1.555.123.4567", ["+15551234567"]),
        ("?phone=%2B49%20151%2012345678&x", ["+4915112345678"]),
        ("?phone=%252B4915112345678", ["+4915112345678"]),
        ("?q=call+%2B49+151+12345678", ["+4915112345678"]),
        ("(555) 123-4567, 555-123-4567 or 1-800-123-4567", ["5551234567", "5551234567", "18001234567"]),
        ("Tel(0151) 1234567", ["01511234567"]),
        ("?p=%28555%29%20123-4567", ["5551234567"]),
    ],
)
def test_contacts_are_found(text: str, contacts: list[str]) -> None:
    assert found(text) == contacts
    assert might_hold(json.dumps(text).encode())
    assert might_hold(json.dumps(text, ensure_ascii=False).encode())


@pytest.mark.parametrize(
    "text",
    [
        "1515915625519388267",
        "4915112345678",
        "5551234567",
        "550e8400-e29b-41d4-a716-446655440000",
        "12345678-1234-1234-1234-123456789012",
        "2024-03-01",
        "2024-03-01T10:00:00.123+02:00",
        "2024-03-01T10:00:00+0200",
        "Fri, 01 Mar 2024 10:00:00 +0000",
        "Fri Mar 01 2024 10:00:00 GMT+1100 (AEDT)",
        "203.0.113.77",
        "2001:db8:1:2:3::4",
        "139.0.7258.155",
        "v10.20.30",
        "1,234,567.89",
        "+10.99",
        "-12345678.90",
        "4111-1111-1111-1111",
        "123-1234567-1234567",
        "978-3-16-148410-0",
        "(01)09506000134352",
        "GA1.2.1234567890.1609459200",
        "AB+12345678X",
        "shoe+12345678",
        "X-555-123-4567",
        "555-123-4567-8",
        "555-123-45678",
        "+123456789012345678",
        "C++17 (2017)",
        "@media (max-width: 1200px)",
        "logo@2x.png icon@1.5x.webp",
        "npm/jquery@3.6.0/dist/jquery.min.js",
        "https://maps.example/@48.85,2.35,15z",
        "ada@localhost",
        "100% cotton",
        "a %40 b",
        "",
    ],
)
def test_other_things_are_left(text: str) -> None:
    assert found(text) == []
    assert replaced(text, lambda _: NAME) == text
    assert whole(text) is None


@pytest.mark.parametrize("text", ["555-123-4567", "+4915112345678"])
def test_codes_are_not_taken_for_telephone_numbers(text: str) -> None:
    assert replaced(text, lambda _: NAME, phones=False) == text
    assert replaced("a@b.de", lambda _: NAME, phones=False) == NAME


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (" Ada@Example.com\n", "ada@example.com"),
        ("ada%40example.com", "ada@example.com"),
        ("+49 151 1234-5678", "+4915112345678"),
        ("(555) 123-4567", "555-123-4567"),
    ],
)
def test_two_spellings_are_one(one: str, other: str) -> None:
    assert whole(one) == whole(other) is not None


@pytest.mark.parametrize("text", ["mailto:a@b.de", "a@b.de b@c.de", "x +4915112345678", "https://a@b.de/"])
def test_a_contact_among_other_things_is_not_the_whole(text: str) -> None:
    assert whole(text) is None


def test_a_url_stays_one() -> None:
    url = "https://ada:pw@shop.example:8443/u/ada@b.example?email=ada%40b.example&n=1#ada@b.example"
    clean = urlsplit(replaced(url, lambda _: NAME))
    assert (clean.hostname, clean.port, clean.username) == ("shop.example", 8443, None)
    assert (clean.path, parse_qs(clean.query), clean.fragment) == (f"/u/{NAME}", {"email": [NAME], "n": ["1"]}, NAME)


LOCALS = st.from_regex(r"[a-z0-9_]([a-z0-9._+-]{0,12}[a-z0-9_])?", fullmatch=True)
EMAILS = st.builds("{}@{}.{}".format, LOCALS, st.from_regex(r"[a-z0-9]{1,8}", fullmatch=True), st.just("example"))
AROUND = st.text(max_size=12)


@given(EMAILS, AROUND, AROUND, st.integers(0, 3))
def test_no_address_survives_whatever_is_around_it(email: str, before: str, after: str, rounds: int) -> None:
    written = email
    for _ in range(rounds):
        written = quote_plus(written)
    clean = replaced(f"{before} {written} {after}", lambda _: NAME)
    for _ in range(rounds):
        clean = unquote(clean)
    assert email not in clean


@given(
    st.lists(EMAILS, min_size=1, max_size=4), st.sampled_from([",", " ", ";", "/", "|", "'", "+", "*", "%26", "&e="])
)
def test_no_address_survives_beside_others(emails: list[str], between: str) -> None:
    clean = replaced(between.join(emails), lambda _: "")
    assert "@" not in clean
    assert "example" not in clean


@given(st.text("a@.%40+-() 1", max_size=40))
def test_the_quick_look_misses_nothing(text: str) -> None:
    if replaced(text, lambda _: NAME) != text:
        assert might_hold(json.dumps(text).encode())
        assert might_hold(quote(text).encode()) or replaced(quote(text), lambda _: NAME) == quote(text)


@pytest.mark.parametrize(
    "unit",
    [
        "a",
        "a@",
        "@",
        "a%40",
        "%40b.",
        "%25",
        "a.",
        "@a.",
        "@b.c",
        "+1",
        "(0",
        "-555",
        "+1 ",
        "555-123-",
        '"',
        "://a",
        "a@b.",
    ],
)
def test_the_time_is_linear_in_the_length(unit: str) -> None:
    def seconds(length: int) -> float:
        text = unit * (length // len(unit))
        began = time.process_time()
        replaced(text, lambda _: NAME)
        return time.process_time() - began

    assert seconds(64_000) < 1.0
