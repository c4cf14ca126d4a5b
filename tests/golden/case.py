"""Reads a golden case, for whoever answers it: the oracle, the batch jobs, live."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from contracts.settings import Settings

Row = dict[str, Any]
RECORDS = pa.schema(
    [
        ("log", pa.int32()),
        ("partition", pa.int32()),
        ("offset", pa.int64()),
        ("broker_time", pa.timestamp("us", "UTC")),
        ("dedupe_key", pa.binary()),
        ("value", pa.binary()),
    ],
)


class _Line(msgspec.Struct):
    partition: int
    offset: int
    broker_time: dt.datetime
    envelope: msgspec.Raw
    log: int = 0
    key: str | msgspec.UnsetType | None = msgspec.UNSET


_LINES = msgspec.json.Decoder(_Line)


@dataclass(frozen=True)
class Case:
    """One golden case: its records, its rules and the rows expected."""

    name: str
    records: pa.Table
    settings: Settings
    tables: dict[str, list[Row]]


def case_folders() -> list[Path]:
    """Every golden case's folder, in order of name."""
    return sorted(file.parent for file in Path(__file__).parent.glob("*/expected.json"))


def read_case(folder: Path) -> Case:
    """The case in this folder."""
    expected = json.loads((folder / "expected.json").read_text())
    lines = [_LINES.decode(line) for line in (folder / "records.jsonl").read_bytes().splitlines()]
    rows = [(line.log, line.partition, line.offset, line.broker_time, _key(line), _value(line)) for line in lines]
    columns = [pa.array(c, f.type) for c, f in zip(zip(*rows, strict=True), RECORDS, strict=True)]
    return Case(
        folder.name,
        pa.Table.from_arrays(columns, schema=RECORDS),
        Settings(**expected.get("rules", {})),
        expected["tables"],
    )


def mismatches(expected: list[Row], actual: pa.Table) -> dict[str, list[Row]]:
    """Rows `missing` from and `extra` in a table, by the columns each table's first expected row names."""
    columns = list(expected[0]) if expected else actual.column_names
    given = [_plain(row) for row in actual.select(columns).to_pylist()]
    missing = [row for row in expected if row not in given or expected.count(row) > given.count(row)]
    extra = [row for row in given if row not in expected or given.count(row) > expected.count(row)]
    return {"missing": missing, "extra": extra} if missing or extra else {}


def key_of(value: bytes | None) -> bytes | None:
    """The deduplication key that the entrance gives to this envelope; None where it would not have written it."""
    try:
        envelope = json.loads(value or b"")
        named = f"{envelope['messageId']}\0{envelope['fingerprint']}"
        return hashlib.sha256(named.encode()).digest()[:16]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _key(line: _Line) -> bytes | None:
    if isinstance(line.key, msgspec.UnsetType):
        return key_of(_value(line))
    return None if line.key is None else bytes.fromhex(line.key)


def _value(line: _Line) -> bytes:
    raw = bytes(line.envelope)
    return json.loads(raw).encode() if raw.startswith(b'"') else raw


def _plain(value: Any) -> Any:
    """Instants as ISO texts without a zone, which is how `expected.json` writes them."""
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_plain(part) for part in value]
    return value.replace(tzinfo=None).isoformat() if isinstance(value, dt.datetime) else value
