"""Adapter for the REES46 shop log: one CSV row becomes one track call of the Segment spec.

Publisher and full files: REES46 Marketing Platform (https://rees46.com), through
https://www.kaggle.com/datasets/mkechinov/ecommerce-behavior-data-from-multi-category-store.

* `messageId` = the first 128 bits of SHA-256 of the row's bytes, as hex: exact copies of a row are duplicates.
* `anonymousId` = the column chosen as visitor. `userId` is not sent, so that the visitor is never in doubt.
* A purchase row has no order id and is an order of one line: its order is keyed by the event id.
* The price goes into the JSON with the digits of the CSV, never through a float.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Final, Literal, get_args

from speed_layer.replay.lines import Line, estimate_lines, read_lines
from speed_layer.replay.message import BadRow, ReplayFileUnreadable, SourceItem, SourceMessage

Visitor = Literal["user_id", "user_session"]
VISITORS: Final = get_args(Visitor)

COLUMNS: Final = (
    "event_time",
    "event_type",
    "product_id",
    "category_id",
    "category_code",
    "brand",
    "price",
    "user_id",
    "user_session",
)
CURRENCY: Final = "USD"
EVENT_NAMES: Final = {
    "view": "Product Viewed",
    "cart": "Product Added",
    "remove_from_cart": "Product Removed",
    "purchase": "Order Completed",
}
_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", re.ASCII)
_JSON_DECIMAL = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?", re.ASCII)
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


class _Bad(ValueError):
    """Carries why a row is refused out of the parsing functions."""


def read_rees46(path: Path, visitor: Visitor = "user_id") -> Iterator[SourceItem]:
    """The file's rows (`.csv` or `.csv.gz`, any size) in file order, as messages sent at their `event_time`.

    A row that cannot be read is a BadRow. Raises ReplayFileMissing, and ReplayFileUnreadable also where the header
    is not this format's.
    """
    lines = read_lines(path)
    header = next(lines, None)
    if not isinstance(header, Line) or header.text.removeprefix(b"\xef\xbb\xbf") != ",".join(COLUMNS).encode():
        raise ReplayFileUnreadable(f"{path} is not a REES46 log.", f"Its first line must be {','.join(COLUMNS)}.")
    for line in lines:
        yield line if isinstance(line, BadRow) else _message(line, visitor)


def estimate_rees46(path: Path) -> int:
    """About how many rows the file has; exact for small files. Raises as `read_rees46` does for the file."""
    return max(0, estimate_lines(path) - 1)


def _message(line: Line, visitor: Visitor) -> SourceItem:
    try:
        return _parse(line, visitor)
    except _Bad as bad:
        return BadRow(line.number, str(bad))


def _parse(line: Line, visitor: Visitor) -> SourceMessage:
    time, kind, product_id, category_id, category, brand, price, user_id, session = _fields(line)
    _check_session(session, is_terminated=line.is_terminated)
    visitor_id = user_id if visitor == "user_id" else session
    if kind not in EVENT_NAMES:
        raise _Bad("event_type is none of " + ", ".join(EVENT_NAMES))
    if not _JSON_DECIMAL.fullmatch(price):
        raise _Bad("price is not a decimal number")
    if not product_id or not visitor_id:
        raise _Bad(f"{visitor if product_id else 'product_id'} is empty")
    send_at, timestamp = _time(time)
    product = _members(product_id=product_id, category=category, category_id=category_id, brand=brand)
    raw = (
        f'{{"type":"track","event":"{EVENT_NAMES[kind]}"'
        f',"messageId":"{sha256(line.text).hexdigest()[:32]}","anonymousId":{json.dumps(visitor_id)}'
        f',"timestamp":"{timestamp}","properties":{{{_PROPERTIES[kind](product, price)},"currency":"{CURRENCY}"}}}}'
    )
    return SourceMessage(raw.encode(), send_at)


def _fields(line: Line) -> list[str]:
    try:
        text = line.text.decode()
        fields = next(csv.reader([text], strict=True), []) if '"' in text else text.split(",")
    except UnicodeDecodeError as error:
        raise _Bad("not UTF-8 text") from error
    except csv.Error as error:
        raise _Bad("a quoted field does not end") from error
    if len(fields) != len(COLUMNS):
        raise _Bad(f"{len(fields)} columns instead of {len(COLUMNS)}")
    return fields


def _check_session(session: str, *, is_terminated: bool) -> None:
    # The published files have a few rows without a session; at the end of a file it is a row cut short.
    if not (_UUID.fullmatch(session) or (session == "" and is_terminated)):
        raise _Bad("user_session is not a UUID")


@lru_cache(maxsize=8)
def _time(text: str) -> tuple[datetime, str]:
    if not _TIME.fullmatch(text):
        raise _Bad("event_time is not like 2019-10-01 00:00:00 UTC")
    try:
        at = datetime.fromisoformat(text[:19]).replace(tzinfo=UTC)
    except ValueError as error:
        raise _Bad("event_time is no time of the calendar") from error
    return at, text[:10] + "T" + text[11:19] + "Z"


def _members(**fields: str) -> str:
    return ",".join(f'"{name}":{_quoted(text)}' for name, text in fields.items() if text)


@lru_cache(maxsize=65_536)
def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _view(product: str, price: str) -> str:
    return f'{product},"price":{price}'


def _cart(product: str, price: str) -> str:
    return f'{product},"price":{price},"quantity":1'


def _order(product: str, price: str) -> str:
    return f'"total":{price},"products":[{{{product},"price":{price},"quantity":1}}]'


_PROPERTIES: Final[dict[str, Callable[[str, str], str]]] = {
    "view": _view,
    "cart": _cart,
    "remove_from_cart": _cart,
    "purchase": _order,
}
