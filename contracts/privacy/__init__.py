"""What of a message may be kept in clear: the rest gets a pseudonym, or goes, before anything is written."""

from __future__ import annotations

from contracts.privacy.clean import cleaned, cleaned_letter, cleaned_text, might_be_personal
from contracts.privacy.keys import InstallationKeys, attribute, id_of_key, identifier, pseudonym

__all__ = [
    "InstallationKeys",
    "attribute",
    "cleaned",
    "cleaned_letter",
    "cleaned_text",
    "id_of_key",
    "identifier",
    "might_be_personal",
    "pseudonym",
]
