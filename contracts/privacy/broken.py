"""Text that should have been JSON, without what a look at it takes for personal. Only dead letters hold such text."""

from __future__ import annotations

import json
import re
from typing import Final

from contracts.addresses import cut_ip
from contracts.privacy import contacts
from contracts.privacy.keys import InstallationKeys, attribute
from contracts.privacy.places import is_personal

# A member whose value is a text, which may lack its end, or a number. Possessive: the time is linear in the length.
_MEMBER: Final = re.compile(
    r'"(?P<name>[^"\\]{1,64})"(?P<colon>\s*+:\s*+)(?:"(?P<text>(?:[^"\\]|\\.)*+)"?|(?P<number>[-+.\w]++))', re.DOTALL
)
_TRAITS: Final = re.compile(r'"traits"\s*:', re.IGNORECASE)
_ASCII_ESCAPE: Final = re.compile(r"\\u00([2-7][0-9A-Fa-f])")
_NOBODY: Final = ("true", "false", "null", "")


def cleaned(raw: bytes, keys: InstallationKeys) -> bytes:
    """The text with attribute pseudonyms for contacts and for the members that mean a person.

    Behind the first `traits` these are all that mean one among traits: too much is replaced rather than too little.
    """
    text = _ASCII_ESCAPE.sub(_unescaped, raw.decode(errors="surrogateescape"))
    traits = _TRAITS.search(text)
    of_traits_from = traits.end() if traits else len(text)

    def member(match: re.Match[str]) -> str:
        made = _value(match, keys, of_traits=match.start() >= of_traits_from)
        return match[0] if made is None else f'"{match["name"]}"{match["colon"]}{json.dumps(made)}'

    clean = contacts.replaced(_MEMBER.sub(member, text), lambda contact: attribute(contact, keys))
    return clean.encode(errors="surrogateescape")


def _value(match: re.Match[str], keys: InstallationKeys, *, of_traits: bool) -> str | None:
    """What a member says instead; None where it may stay."""
    name, given = match["name"].lower(), match["text"] or match["number"] or ""
    if given.strip() in _NOBODY:
        return None
    if name == "ip":
        return cut_ip(given) or ""
    if name in {"latitude", "longitude"}:
        return ""
    return attribute(given, keys) if is_personal(name, of_traits=of_traits) else None


def _unescaped(match: re.Match[str]) -> str:
    character = chr(int(match[1], 16))
    return match[0] if character in '"\\' else character
