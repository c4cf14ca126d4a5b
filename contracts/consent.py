"""Consent as it stands on one record: which purposes its visitor agreed to when it was sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Consent(NamedTuple):
    """What the record may be used for. Consent to collect is the entrance's business: without it there is no record."""

    analyse: bool
    personalise: bool
    train: bool


def consent_of(context: Mapping[str, Any], default: str) -> Consent:
    """The consent in a message's `context`; a purpose that is not named follows `default` (`grant` or `deny`)."""
    given = context.get("consent")
    said = given if isinstance(given, dict) else {}
    return Consent(*(_agrees(said.get(purpose), default) for purpose in Consent._fields))


def _agrees(given: Any, default: str) -> bool:
    return default == "grant" if given is None else given is not False
