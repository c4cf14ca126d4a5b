"""Consent as it stands on one record: what its visitor agreed to when it was sent.

Purposes are read under their own names in `context.consent`, and under the same names in its `categoryPreferences`
(https://segment.com/docs/privacy/consent-management/consent-in-segment-connections/). Where the two disagree the
refusal counts. Only `false` refuses; a purpose that is not named follows the installation's default.
"""

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
    return Consent(*(_agrees(_said(context, purpose), default) for purpose in Consent._fields))


def withholds_collection(context: Mapping[str, Any]) -> bool:
    """Whether nothing of the message may be kept. Only a plain refusal says so: no default does."""
    return "consent" in context and any(given is False for given in _said(context, "collect"))


def _said(context: Mapping[str, Any], purpose: str) -> list[Any]:
    """Everything the context says of a purpose."""
    consent = context.get("consent")
    if not isinstance(consent, dict):
        return []
    preferences = consent.get("categoryPreferences")
    places = (consent, preferences if isinstance(preferences, dict) else {})
    return [place[purpose] for place in places if place.get(purpose) is not None]


def _agrees(given: list[Any], default: str) -> bool:
    return all(one is not False for one in given) if given else default == "grant"
