"""Answers as JSON: rows of an Arrow table, and the bytes of a document. The API and the command line share them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

_ENCODE = msgspec.json.Encoder(enc_hook=str).encode


def to_rows(table: pa.Table) -> list[dict[str, Any]]:
    """The rows as dicts of what JSON knows: whole numbers as exact ints, times as ISO 8601 with Z (UTC), NaN as None.

    A column whose name stands twice becomes `name_1`, `name_2`.
    """
    columns = [_values(column) for column in table.columns]
    names = unique(table.column_names)
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def kind_of(kind: pa.DataType) -> str:
    """What JSON makes of an Arrow type: integer, number, boolean, time, list, object or text."""
    is_whole = pa.types.is_integer(kind) or (pa.types.is_decimal(kind) and kind.scale == 0)
    found = {
        "integer": is_whole,
        "number": pa.types.is_floating(kind) or pa.types.is_decimal(kind),
        "boolean": pa.types.is_boolean(kind),
        "time": pa.types.is_temporal(kind),
        "list": pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_map(kind),
        "object": pa.types.is_struct(kind),
    }
    return next((name for name, holds in found.items() if holds), "text")


def dumps(value: object) -> bytes:
    """The JSON text of what `to_rows` gives, and of documents around it."""
    return _ENCODE(value)


def unique(names: Iterable[str]) -> list[str]:
    """The names, numbered where one stands twice."""
    given: list[str] = []
    for name in names:
        number, candidate = 0, name
        while candidate in given:
            number += 1
            candidate = f"{name}_{number}"
        given.append(candidate)
    return given


def _values(column: pa.ChunkedArray) -> list[Any]:
    convert = _converter(column.type)
    try:
        values = column.to_pylist()
    except (OverflowError, ValueError):  # a time outside Python's years 1 to 9999, as SQL's 'infinity'
        values = pc.cast(column, pa.string()).to_pylist()
    return [None if v is None else convert(v) for v in values] if convert else values


def _converter(kind: pa.DataType) -> Callable[[Any], Any] | None:
    """How values of an Arrow type become JSON's; None where they are already."""
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_string(kind):
        return None
    return plain


def plain(value: Any) -> Any:  # noqa: PLR0911 - one return a type
    """One value, however nested, as what JSON knows."""
    if isinstance(value, datetime):
        return _instant(value)
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    return value if isinstance(value, str | int | None) else str(value)


def _instant(moment: datetime) -> str:
    aware = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return aware.isoformat().replace("+00:00", "Z")
