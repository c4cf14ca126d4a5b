"""A message without what may not be kept in clear: read, walked place by place, and written again where need be."""

from __future__ import annotations

import re
from typing import Any, Final

from contracts.addresses import cut_ip
from contracts.privacy import broken, contacts, json_text
from contracts.privacy.json_text import Members, Number
from contracts.privacy.keys import InstallationKeys, attribute, identifier, pseudonym
from contracts.privacy.places import MESSAGE, PERSONAL, Place, Rule, below, items

# A look at the first letter spares most names the whole list.
_NAMES: Final = re.compile(rf'"(?=[bcdefgilmpst])(?:ip|location|traits|{PERSONAL})"'.encode())


def might_be_personal(raw: bytes) -> bool:
    """Whether `cleaned` could find anything in JSON text: a cheap look that spares most messages the reading."""
    return contacts.might_hold(raw) or _NAMES.search(raw.lower()) is not None


def cleaned(raw: bytes, keys: InstallationKeys) -> bytes:
    """JSON text of a message as it may be kept: the very same object where nothing has to be replaced.

    Numbers keep their digits, objects their members' order. Raises `ValueError` or `RecursionError` where the text
    is no JSON that can be read.
    """
    if not might_be_personal(raw):
        return raw
    work = _Cleaning(keys)
    message = work.value(json_text.read(raw), MESSAGE)
    return json_text.write(message) if work.has_replaced else raw


def cleaned_text(text: str, keys: InstallationKeys) -> str:
    """A text of the sender's that stands by itself, such as a batch's `sentAt`, without contacts."""
    return contacts.replaced(text, lambda contact: pseudonym(contact, keys))


def cleaned_letter(raw: bytes, keys: InstallationKeys) -> bytes:
    """What may be kept of a message that was refused, be it JSON or not. Never raises for what the sender wrote.

    In text that cannot be read as JSON, contacts and a person's members are found by their look alone.
    """
    try:
        return cleaned(raw, keys)
    except (ValueError, RecursionError):
        return broken.cleaned(raw, keys)


class _Cleaning:
    """One message's walk, and whether it replaced anything."""

    def __init__(self, keys: InstallationKeys) -> None:
        self._keys = keys
        self.has_replaced = False

    def value(self, given: Any, place: Place) -> Any:
        """What stands at a place, as it may be kept."""
        if isinstance(given, Members):
            return self._members(given, place)
        if isinstance(given, list):
            return [self.value(item, items(place)) for item in given]
        if isinstance(given, Number):
            return self._noted(given, self._attribute(given)) if place.rule is Rule.DIRECT else given
        return self._noted(given, self._text(given, place.rule)) if isinstance(given, str) else given

    def _members(self, given: Members, place: Place) -> Members:
        made, taken = Members(), {name for name, _ in given}
        for name, value in given:
            there = below(name, place)
            if _is_gone(value, there.rule):
                self.has_replaced = True
            else:
                made.append((self._name(name, taken), self.value(value, there)))
        return made

    def _name(self, name: str, taken: set[str]) -> str:
        """A member's name may be a contact too; two that become one would make the object unreadable."""
        clean = self._noted(name, contacts.replaced(name, self._attribute))
        while clean != name and clean in taken:
            clean += "_"
        taken.add(clean)
        return clean

    def _text(self, given: str, rule: Rule) -> str:
        if rule is Rule.DIRECT:
            return self._attribute(given) if given.strip() else given
        if rule is Rule.IDENTIFIER:
            return identifier(given, self._keys)
        if rule is Rule.ADDRESS:
            return cut_ip(given) or ""
        if rule is Rule.KEPT:
            return given
        by = self._attribute if rule is Rule.UNDECLARED else self._pseudonym
        return contacts.replaced(given, by, phones=rule is not Rule.CODE)

    def _attribute(self, text: str) -> str:
        return attribute(text, self._keys)

    def _pseudonym(self, text: str) -> str:
        return pseudonym(text, self._keys)

    def _noted(self, given: str, made: str) -> str:
        self.has_replaced = self.has_replaced or made != given
        return made


def _is_gone(value: Any, rule: Rule) -> bool:
    if rule is Rule.ADDRESS:
        return value is not None and (type(value) is not str or cut_ip(value) is None)
    return rule is Rule.GONE and value is not None
