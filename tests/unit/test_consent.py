"""Consent as a record carries it: four purposes, what counts where two places disagree, and the default."""

from __future__ import annotations

from typing import Any

import pytest

from contracts.consent import Consent, consent_of, withholds_collection
from contracts.envelope import Refused, Stamp, enter
from contracts.privacy import InstallationKeys

KEYS = InstallationKeys(b"the secret of tests", b"an attribute key")


@pytest.mark.parametrize(
    ("context", "granted", "denied"),
    [
        ({}, Consent(True, True, True), Consent(False, False, False)),
        ({"consent": None}, Consent(True, True, True), Consent(False, False, False)),
        ({"consent": "all"}, Consent(True, True, True), Consent(False, False, False)),
        ({"consent": {"analyse": False}}, Consent(False, True, True), Consent(False, False, False)),
        ({"consent": {"train": True, "analyse": None}}, Consent(True, True, True), Consent(False, False, True)),
        (
            {"consent": {"categoryPreferences": {"personalise": False, "train": True}}},
            Consent(True, False, True),
            Consent(False, False, True),
        ),
        (
            {"consent": {"analyse": True, "categoryPreferences": {"analyse": False}}},
            Consent(False, True, True),
            Consent(False, False, False),
        ),
        (
            {"consent": {"analyse": False, "categoryPreferences": {"analyse": True}}},
            Consent(False, True, True),
            Consent(False, False, False),
        ),
        ({"consent": {"categoryPreferences": ["analyse"]}}, Consent(True, True, True), Consent(False, False, False)),
    ],
)
def test_purposes(context: dict[str, Any], granted: Consent, denied: Consent) -> None:
    assert consent_of(context, "grant") == granted
    assert consent_of(context, "deny") == denied


@pytest.mark.parametrize("consent", [{"collect": False}, {"categoryPreferences": {"collect": False}}])
def test_collection_is_withheld_by_a_plain_refusal(consent: dict[str, Any]) -> None:
    assert withholds_collection({"consent": consent})
    raw = b'{"type":"page","userId":"u","messageId":"m","context":{"consent":%b}}'
    text = str(consent).replace("'", '"').replace("False", "false").encode()
    assert enter(raw % text, None, Stamp("2024-03-01T12:00:00.000Z"), KEYS) == Refused(None, "m")


@pytest.mark.parametrize("context", [{}, {"consent": {}}, {"consent": False}, {"consent": {"collect": None}}])
def test_no_default_withholds_collection(context: dict[str, Any]) -> None:
    assert not withholds_collection(context)
