"""Whole Arrow batches of records: what became of each, and the events among them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice

import pyarrow as pa
import pyarrow.compute as pc

from contracts.algebra import QUALITY_SCHEMA
from contracts.fields import EVENT, UTC
from contracts.reasons import Reason
from contracts.validation import findings
from spark_jobs.transforms import leaves
from spark_jobs.transforms.enrich.record import reference_of
from spark_jobs.transforms.parse import Event, parse

RECORD = pa.schema(
    [
        ("log", pa.int32()),
        ("partition", pa.int32()),
        ("offset", pa.int64()),
        ("broker_time", UTC),
        ("dedupe_key", pa.binary()),
        ("value", pa.binary()),
    ],
)
REJECTED = pa.schema([*[RECORD.field(n) for n in ("log", "partition", "offset", "broker_time", "value")]]).append(
    pa.field("reason", pa.string()),
)
SILVER = pa.schema(
    [
        *EVENT,
        ("status", pa.string()),
        ("reason", pa.string()),
        ("value", pa.binary()),
        ("sender", pa.string()),
        ("findings", pa.list_(pa.string())),
    ]
)
_MOST_FINDINGS = 10
_NAMES = ("log", "partition", "offset", "broker_time")
_PARSED = [field for field in EVENT if field.name not in _NAMES]


@dataclass(frozen=True)
class Outcome:
    """What became of records: `events` (fields.EVENT), `rejected`, the names of those `withheld`, `quality` counts.

    `statuses` has one for each record, in their order.
    """

    events: pa.Table
    rejected: pa.Table
    withheld: pa.Table
    quality: pa.Table
    statuses: pa.Array


def outcome(records: pa.Table, rules: Mapping[str, str]) -> Outcome:
    """Parse every record (`RECORD`). Duplicates are gone before: each record here is good, rejected or no_consent."""
    reference = reference_of(rules)
    parsed = [
        parse(key, value, rules, reference)
        for key, value in zip(records["dedupe_key"].to_pylist(), records["value"].to_pylist(), strict=True)
    ]
    statuses = pa.array([_status(p) for p in parsed], pa.string())
    reasons = pa.array([p.value if isinstance(p, Reason) else "" for p in parsed], pa.string())
    good = pc.equal(statuses, "good")
    events = [p for p in parsed if isinstance(p, Event) and p.may_analyse]
    columns = list(zip(*(e.row for e in events), strict=True)) if events else [()] * len(_PARSED)
    named = records.select(_NAMES).filter(good)
    arrays = [_array(values, f) for values, f in zip(columns, _PARSED, strict=True)]
    return Outcome(
        pa.table([*named.columns, *arrays], schema=EVENT),
        _rejected(records, statuses, reasons),
        records.select(_NAMES).filter(pc.equal(statuses, "no_consent")),
        _quality(records, statuses, reasons),
        statuses,
    )


def silver_rows(records: pa.Table, rules: Mapping[str, str]) -> pa.Table:
    """Every record as a row of silver (`SILVER`); what was refused keeps its value, what was withheld only its name.

    Good events say how they break their contract: accepted all the same, and shown in the quality report.
    """
    found = outcome(records, rules)
    said = [_said_beside(value) for value in records["value"].to_pylist()]
    senders = pa.array([sender for sender, _ in said], pa.string())
    breaches = pa.array([found for _, found in said], pa.list_(pa.string()))
    rows = []
    for status, part in {"good": found.events, "rejected": found.rejected, "no_consent": found.withheld}.items():
        is_it = pc.equal(found.statuses, status)
        row = part.append_column("status", pa.array([status] * part.num_rows, pa.string()))
        if status != "no_consent":
            row = row.append_column("sender", senders.filter(is_it))
        rows.append(row.append_column("findings", breaches.filter(is_it)) if status == "good" else row)
    together = pa.concat_tables(rows, promote_options="default")
    return together.select(SILVER.names).cast(SILVER)


def _said_beside(value: bytes | None) -> tuple[str | None, list[str]]:
    """Who sent the record, and how its message breaks its contract, as `pointer what`; unknown events do not."""
    try:
        envelope = leaves.decode(value or b"")
        message, sender = envelope["message"], leaves.text(envelope.get("source"))
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return None, []
    if type(message) is not dict:
        return sender, []
    found = (f for f in findings(message, envelope.get("type")) if not f.is_note)
    return sender, [f"{f.pointer} {f.message}" for f in islice(found, _MOST_FINDINGS)]


def _array(values: tuple[object, ...], field: pa.Field) -> pa.Array:
    if pa.types.is_timestamp(field.type):
        return pa.array(values, pa.int64()).cast(field.type)
    return pa.array(values, field.type)


def _status(parsed: Event | Reason) -> str:
    if isinstance(parsed, Reason):
        return "rejected"
    return "good" if parsed.may_analyse else "no_consent"


def _rejected(records: pa.Table, statuses: pa.Array, reasons: pa.Array) -> pa.Table:
    kept = records.select([n for n in REJECTED.names if n != "reason"]).append_column("reason", reasons)
    return kept.filter(pc.equal(statuses, "rejected")).select(REJECTED.names)


def _quality(records: pa.Table, statuses: pa.Array, reasons: pa.Array) -> pa.Table:
    named = records.select(["log", "partition"]).append_column("status", statuses).append_column("reason", reasons)
    counted = named.group_by(["log", "partition", "status", "reason"]).aggregate([([], "count_all")])
    return counted.rename_columns({"count_all": "rows"}).select(QUALITY_SCHEMA.names).cast(QUALITY_SCHEMA)
