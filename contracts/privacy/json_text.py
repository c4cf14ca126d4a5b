"""JSON text as it was written: members in their order, also those named twice, and numbers with all their digits."""

from __future__ import annotations

import json
from typing import Any, Final


class Members(list[tuple[str, Any]]):
    """An object."""


class Number(str):
    """A number, as it was written; `NaN` and the infinities too, which are no JSON but are sent."""

    __slots__ = ()


_DECODER: Final = json.JSONDecoder(
    parse_int=Number, parse_float=Number, parse_constant=Number, object_pairs_hook=Members
)
_quoted: Final = json.JSONEncoder(ensure_ascii=False).encode


def read(raw: bytes) -> Any:
    """The value. Raises `ValueError` (not JSON, not UTF-8) or `RecursionError` (nested too deeply)."""
    return _DECODER.decode(raw.decode())


def write(value: Any) -> bytes:
    """The value as JSON in UTF-8, without blanks. Raises `RecursionError`."""
    # Half a character cannot be UTF-8, but this is how JSON writes it.
    return _text(value).encode(errors="backslashreplace")


def _text(value: Any) -> str:
    if isinstance(value, Members):
        return "{" + ",".join(f"{_quoted(name)}:{_text(inner)}" for name, inner in value) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_text, value)) + "]"
    if isinstance(value, Number):
        return str(value)
    return _quoted(value)
