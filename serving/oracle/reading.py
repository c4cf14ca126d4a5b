"""Takes records apart: what a record's JSON says, field by field, judged by nobody yet.

A scalar field becomes its *said* form: one letter for its JSON type, then its text as it was written.

    "12.50" -> s12.50    12.50 -> n12.50    true -> btrue    {..} -> o    [..] -> a    null or absent -> NULL

Numbers keep the digits of the JSON text (no float ever exists), and the rules in SQL still know a number from a string.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import pyarrow as pa

from serving.oracle import enriching
from serving.oracle.enriching import Enriching

DEEPEST_JSON: Final = 65  # A message may nest 64 levels deep; its envelope is one more.
LINE_FIELDS: Final = ("product_id", "category", "brand", "price", "quantity")
AMOUNTS: Final = ("price", "total", "revenue", "value", "tax", "shipping", "discount")
_PROPERTIES: Final = (
    *AMOUNTS,
    *("currency", "quantity", "product_id", "category", "brand", "order_id", "coupon", "query", "path"),
)
_MESSAGE: Final = ("anonymousId", "userId", "event", "name", "originalTimestamp", "timestamp")
_ENVELOPE: Final = ("type", "messageId", "receivedAt", "fingerprint", "message")
_OBJECTS: Final = ("properties", "context", "traits")
_TEXTS: Final = (*_ENVELOPE, *_MESSAGE, *_OBJECTS, "products", *_PROPERTIES, "page_path", "may_analyse")
_ABSENT: Final = (*(None,) * len(_TEXTS), *enriching.ABSENT)
_LINES = pa.list_(pa.struct([(name, pa.string()) for name in LINE_FIELDS]))

SAID = pa.schema(
    [
        pa.field("n", pa.int64()),
        pa.field("log", pa.int64()),
        pa.field("partition", pa.int64()),
        pa.field("offset", pa.int64()),
        pa.field("dedupe_key", pa.binary()),
        pa.field("fault", pa.string()),
        pa.field("lines", _LINES),
        *(pa.field(name, pa.string()) for name in _TEXTS),
        *enriching.SCHEMA,
    ],
)


class Number(str):
    """A JSON number, as the text it was written in."""

    __slots__ = ()


_SAID_AS: Final[dict[type, Callable[[Any], str]]] = {
    str: "s".__add__,
    Number: "n".__add__,
    bool: lambda value: "btrue" if value else "bfalse",
    dict: lambda _: "o",
    list: lambda _: "a",
}


class _Unreadable(Exception):
    """The value is no JSON object; the argument is the reason."""


def read_batches(batches: Iterable[pa.RecordBatch], enrichment: Enriching, start: int = 0) -> Iterator[pa.RecordBatch]:
    """The records as rows of `SAID`, numbered from `start`.

    Each batch must have the columns log, partition, offset, dedupe_key and value.
    """
    for batch in batches:
        read = [_read(value, enrichment) for value in batch.column("value").to_pylist()]
        columns = list(zip(*read, strict=True)) or [()] * (len(SAID) - 5)
        yield pa.RecordBatch.from_arrays(
            [
                pa.array(range(start, start + len(read)), pa.int64()),
                *(batch.column(name).cast(pa.int64()) for name in ("log", "partition", "offset")),
                batch.column("dedupe_key").cast(pa.binary()),
                *(pa.array(column, kind) for column, kind in zip(columns, SAID.types[5:], strict=True)),
            ],
            schema=SAID,
        )
        start += len(read)


def _read(value: bytes | None, enrichment: Enriching) -> tuple[Any, ...]:
    """One row of `SAID` from its column `fault` on."""
    try:
        envelope = _parse(value)
    except _Unreadable as error:
        return (str(error), None, *_ABSENT)
    message = _object(envelope, "message")
    properties = _object(message, "properties")
    context = _object(message, "context")
    products = properties.get("products")
    return (
        None,
        _lines(products),
        *_said_of(envelope, _ENVELOPE),
        *_said_of(message, _MESSAGE),
        *_said_of(message, _OBJECTS),
        _products_shape(products),
        *_said_of(properties, _PROPERTIES),
        _said(_object(context, "page").get("path")),
        _said(_object(context, "consent").get("analyse")),
        *enrichment.of_record(envelope, message),
    )


def _said_of(parent: dict[str, Any], names: Iterable[str]) -> list[str | None]:
    return [None if value is None else _SAID_AS[type(value)](value) for value in map(parent.get, names)]


def _said(value: Any) -> str | None:
    return None if value is None else _SAID_AS[type(value)](value)


def _object(parent: dict[str, Any], name: str) -> dict[str, Any]:
    child = parent.get(name)
    return child if isinstance(child, dict) else {}


def _products_shape(products: Any) -> str | None:
    """As `_said`, but an array that holds anything besides objects is `x`."""
    if isinstance(products, list) and not all(isinstance(product, dict) for product in products):
        return "x"
    return _said(products)


def _lines(products: Any) -> list[tuple[str | None, ...]] | None:
    if not isinstance(products, list):
        return None
    return [tuple(_said(p.get(name)) for name in LINE_FIELDS) for p in products if isinstance(p, dict)]


def _parse(value: bytes | None) -> dict[str, Any]:
    """The value as one JSON object; raises `_Unreadable`."""
    try:
        text = (value or b"").decode()
    except UnicodeDecodeError as error:
        raise _Unreadable("invalid_utf8") from error
    if text.count("{") + text.count("[") > DEEPEST_JSON and _depth(text) > DEEPEST_JSON:
        raise _Unreadable("too_deep")
    try:
        read = _DECODER.decode(text)
    except ValueError as error:
        raise _Unreadable("not_json") from error
    if not isinstance(read, dict) or ("\\u" in text and _has_half_characters(text)):
        raise _Unreadable("not_json")
    return read


def _has_half_characters(text: str) -> bool:
    """Whether an escape in this JSON stands for half a character: a surrogate without its other half."""
    return any(escape.lastgroup == "half" for escape in _ESCAPES.finditer(text))


def _depth(text: str) -> int:
    """How deeply brackets nest, those inside strings left out."""
    depth = deepest = 0
    inside = skip = False
    for character in text:
        if skip:
            skip = False
        elif inside:
            skip = character == "\\"
            inside = character != '"'
        elif character == '"':
            inside = True
        elif character in "{[":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "}]":
            depth -= 1
    return deepest


def _refuse(constant: str) -> Any:
    raise ValueError(constant)


def _integer(text: str) -> Number:
    """-0 is 0; a number of thousands of digits is nobody's integer, and not read."""
    if len(text) > _LONGEST_INTEGER:
        raise ValueError(text[:20])
    return Number("0" if text == "-0" else text)


_LONGEST_INTEGER = 4300
# NaN and Infinity are JavaScript, not JSON.
_DECODER = json.JSONDecoder(parse_float=Number, parse_int=_integer, parse_constant=_refuse)
_ESCAPES = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<half>\\u[dD][89a-fA-F])|\\.",
)
