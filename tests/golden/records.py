"""Hand-made records for tests: an envelope around what a sender said, and what the oracle makes of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from itertools import count
from typing import Any

import pyarrow as pa

from contracts.settings import Settings
from serving.oracle.oracle import Oracle
from tests.golden.case import key_of

_numbers = count()
RULES = Settings().rules


def envelope(message: Mapping[str, Any] | None = None, **stamps: Any) -> dict[str, Any]:
    """A good Product Viewed with an id of its own; `message` and `stamps` replace fields."""
    number = next(_numbers)
    said = {"event": "Product Viewed", "anonymousId": "ada", "timestamp": "2024-03-01T10:00:00Z", **(message or {})}
    stamped = {"messageId": f"m{number}", "receivedAt": "2024-03-01T12:00:00.000Z", "fingerprint": f"f{number}"}
    return {"type": "track", **stamped, "message": said, **stamps}


def event(name: str, at: str, **properties: Any) -> dict[str, Any]:
    """A track call at `at` (HH:MM:SS of 2024-03-01 UTC, or a whole ISO time); `visitor` is its anonymousId."""
    time = at if "T" in at else f"2024-03-01T{at}Z"
    visitor = properties.pop("visitor", "ada")
    return envelope({"event": name, "anonymousId": visitor, "timestamp": time, "properties": properties})


def table_of(values: Iterable[bytes | str | dict[str, Any] | None]) -> pa.Table:
    """Records of these values: record i is offset 0 of partition i, so that `quality` tells them apart."""
    raw = [json.dumps(v).encode() if isinstance(v, dict) else v.encode() if isinstance(v, str) else v for v in values]
    zeros, numbers = [0] * len(raw), range(len(raw))
    keys, values = (pa.array(column, pa.binary()) for column in (map(key_of, raw), raw))
    return pa.table({"log": zeros, "partition": numbers, "offset": zeros, "dedupe_key": keys, "value": values})


def oracle_of(values: Iterable[bytes | str | dict[str, Any] | None], **settings: Any) -> Oracle:
    """The oracle of these records under the default rules, or those named."""
    oracle = Oracle(RULES | {name: str(value) for name, value in settings.items()})
    oracle.load(table_of(values))
    return oracle


def verdicts(values: Iterable[bytes | str | dict[str, Any] | None], **settings: Any) -> list[str]:
    """What became of each record: `good`, `duplicate`, `no_consent`, or the reason it was rejected for."""
    rows = oracle_of(values, **settings).table("quality").sort_by("partition").to_pylist()
    return [row["reason"] or row["status"] for row in rows]
