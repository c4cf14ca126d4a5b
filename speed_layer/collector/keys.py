"""Who sends: write keys, by HTTP basic authentication or in the body."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from contracts.errors import SettingInvalid

Keys = Mapping[str, str | None]


class _Signed(msgspec.Struct):
    writeKey: Any = None  # noqa: N815 - Segment's name


_SIGNED: Final = msgspec.json.Decoder(_Signed)


def parse_keys(text: str) -> dict[str, str | None]:
    """The keys of a setting such as `key,key:source-name`, each with its source's name or None.

    Raises `SettingInvalid` where a key is empty, or names two sources.
    """
    keys: dict[str, str | None] = {}
    for entry in text.split(","):
        key, _, source = (part.strip() for part in entry.partition(":"))
        if not key or key in keys:
            raise SettingInvalid(
                "TIDEMARK_WRITE_KEYS has an empty or a repeated key.",
                "Set it to keys separated by commas, each alone or as key:source-name.",
            )
        keys[key] = source or None
    return keys


def key_of_header(authorization: str) -> str | None:
    """The user name of a basic `Authorization` header; None where it is none. The password is not looked at."""
    scheme, _, credentials = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        return base64.b64decode(credentials.strip(), validate=True).decode().partition(":")[0]
    except (binascii.Error, UnicodeError):
        return None


def key_of_body(body: bytes) -> str | None:
    """The body's own `writeKey`: how browsers and Segment's newer libraries sign."""
    try:
        key = _SIGNED.decode(body).writeKey
    except (ValueError, RecursionError):
        return None
    return key if isinstance(key, str) else None
