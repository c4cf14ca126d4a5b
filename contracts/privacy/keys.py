"""The keys that pseudonyms are made with, and the pseudonyms.

* The installation's secret, never rotated: identifiers, and contacts inside fields that the dictionary declares, of
  which columns and so measures are made. One contact has one pseudonym, `p_...`, for ever.
* The attribute key, which can be rotated and forgotten: everything classed direct, and contacts inside fields that
  nobody declared. No measure reads these. Their pseudonyms, `k<key>_...`, name the key they were made with.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from functools import cached_property

from contracts.privacy import contacts


@dataclass(frozen=True)
class InstallationKeys:
    """The keys of one installation: the unrotated `secret`, and the present attribute key."""

    secret: bytes = field(repr=False)
    attribute_key: bytes = field(repr=False)

    @cached_property
    def attribute_key_id(self) -> str:
        """The present attribute key's name."""
        return id_of_key(self.attribute_key)


def id_of_key(attribute_key: bytes) -> str:
    """The name of an attribute key: 8 hex digits that follow from it."""
    return hmac.digest(attribute_key, b"name of this key", "sha256")[:4].hex()


def identifier(text: str, keys: InstallationKeys) -> str:
    """The id that records carry for the one that was sent: a pseudonym where that is or holds a contact, else itself.

    Whoever looks for a person's records by an id or address goes this way.
    """
    if contact := contacts.whole(text):
        return pseudonym(contact, keys)
    return pseudonym(text.strip(), keys) if contacts.replaced(text, lambda _: "") != text else text


def pseudonym(text: str, keys: InstallationKeys) -> str:
    """`p_` and 128 bits in hex of HMAC-SHA-256 under the secret."""
    # What fingerprints are made of under the same secret begins with a brace.
    return "p_" + _mac(keys.secret, f"identifier\0{text}")


def attribute(text: str, keys: InstallationKeys) -> str:
    """`k`, the key's name, `_` and 128 bits in hex of HMAC-SHA-256 under the attribute key."""
    return f"k{keys.attribute_key_id}_{_mac(keys.attribute_key, contacts.whole(text) or text.strip())}"


def _mac(key: bytes, text: str) -> str:
    # Dead letters may hold halves of characters.
    return hmac.digest(key, text.encode(errors="surrogatepass"), "sha256")[:16].hex()
