"""What is done with each place of a message: from the dictionary's PII classes, and from names that mean a person."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import lru_cache
from typing import Final

from contracts.dictionary import FIELDS, Field, Pii


class Rule(Enum):
    """What is done with a place's texts and numbers."""

    UNDECLARED = auto()  # contacts get attribute pseudonyms
    DECLARED = auto()  # contacts get unrotated pseudonyms
    CODE = auto()  # the same for e-mail addresses; what looks like a telephone number is the shop's own code
    IDENTIFIER = auto()
    DIRECT = auto()  # all of it, and all that lies below, gets attribute pseudonyms
    ADDRESS = auto()  # cut, and gone where it is no address
    GONE = auto()
    KEPT = auto()


@dataclass(slots=True)
class Place:
    """A place, and the declared places below it by their plain names; `*` is every item of a list."""

    rule: Rule = Rule.UNDECLARED
    below: dict[str, Place] = field(default_factory=dict)


UNDECLARED: Final = Place()
PERSON: Final = Place(Rule.DIRECT)
# Names that mean a person wherever they stand, as they are written after `lower()`. Grouped by their first letters: the
# entrance looks for them in every message.
PERSONAL: Final = (
    "(?:birth[-_ ]?da(?:te|y)|card[-_ ]?number|d(?:ate[-_ ]?of[-_ ]?birth|ob)|e[-_ ]?mail(?:[-_ ]?address)?"
    "|f(?:irst|ull|amily)[-_ ]?name|fax[-_ ]?number|given[-_ ]?name|iban|last[-_ ]?name|m(?:iddle|aiden)[-_ ]?name"
    "|mobile[-_ ]?number|p(?:hone(?:[-_ ]?number)?|assport[-_ ]?number)|s(?:urname|sn)|telephone(?:[-_ ]?number)?)"
)
_IS_PERSONAL: Final = re.compile(PERSONAL)
# Of traits, beside what the dictionary classes direct.
_PERSONAL_TRAITS: Final = (
    "street streetaddress address1 address2 billingaddress shippingaddress postalcode postcode zip zipcode"
    " mobile cell fax nickname login displayname realname initials photo photourl avatarurl picture"
    " latitude longitude taxid vatid nationalid linkedin twitter facebook instagram github skype"
).split()
# A cut address still tells the country; a cut coordinate would still tell the town. A robot's User-Agent holds its
# operator's contact, by which it is recognised.
_OWN_RULES: Final = {
    "/context/ip": Rule.ADDRESS,
    "/context/location/latitude": Rule.GONE,
    "/context/location/longitude": Rule.GONE,
    "/context/userAgent": Rule.KEPT,
    "/groupId": Rule.IDENTIFIER,
    "/messageId": Rule.IDENTIFIER,
    "/properties/checkout_id": Rule.IDENTIFIER,
}
_COORDINATES: Final = ("lat", "lng", "lon", "long")


def below(name: str, place: Place) -> Place:
    """The place of a member. Names are compared without regard to case, hyphens, underscores and blanks."""
    if place.rule is Rule.DIRECT:
        return PERSON
    plain, is_personal_anywhere = _known(name)
    declared = place.below.get(plain)
    return declared or (PERSON if is_personal_anywhere else UNDECLARED)


def items(place: Place) -> Place:
    """The place of a list's items."""
    return PERSON if place.rule is Rule.DIRECT else place.below.get("*", UNDECLARED)


def is_personal(name: str, *, of_traits: bool) -> bool:
    """Whether a name means a person: wherever it stands, or among traits."""
    return below(name, MESSAGE.below["traits"] if of_traits else UNDECLARED).rule is Rule.DIRECT


def _plain(name: str) -> str:
    return re.sub("[-_ ]", "", name.lower())


@lru_cache(maxsize=4096)
def _known(name: str) -> tuple[str, bool]:
    """A name's plain form, and whether it means a person wherever it stands."""
    return _plain(name), _IS_PERSONAL.fullmatch(name.lower()) is not None


def _rule_of(declared: Field) -> Rule:
    if declared.pointer in _OWN_RULES:
        return _OWN_RULES[declared.pointer]
    if declared.pii is Pii.NONE and (declared.name.endswith("_id") or declared.name == "sku"):
        return Rule.CODE
    return {Pii.DIRECT: Rule.DIRECT, Pii.PSEUDONYMOUS: Rule.IDENTIFIER}.get(declared.pii, Rule.DECLARED)


def _message() -> Place:
    root = Place()
    for declared in FIELDS:
        place = root
        for name in declared.pointer.split("/")[1:]:
            place = place.below.setdefault(_plain(name), Place())
        place.rule = _rule_of(declared)
    for name in _PERSONAL_TRAITS:
        root.below["traits"].below.setdefault(name, PERSON)
    for name in _COORDINATES:
        root.below["context"].below["location"].below.setdefault(name, Place(Rule.GONE))
    return root


MESSAGE: Final = _message()
