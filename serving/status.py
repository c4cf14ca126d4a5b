"""How far each part has come, and what is wrong: for `tidemark status` and `GET /v1/status`.

It looks at what is stored, so it answers whether or not the servers run, and before anything exists.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
from sqlalchemy import select

from contracts.errors import TidemarkError
from contracts.measures import QUALITY
from contracts.names import Offsets, span
from contracts.semantics import semantics_hash
from contracts.settings import Settings
from serving.findings import warnings
from serving.merge import table_at
from serving.reach import bronze_reach, kafka_ends
from speed_layer.store import Generation, Reader, open_store
from speed_layer.store.payload import decode
from speed_layer.store.runs import Runs
from speed_layer.store.schema import blocks

Processes = Iterable[Mapping[str, Any]]


def status(
    settings: Settings, now: datetime, processes: Processes | Callable[[], Processes] | None = None
) -> dict[str, Any]:
    """The state of an installation at `now`, as JSON knows it.

    Members: `pointer` (the published run, null before one), `generations`, `dimensions` (the versions that are read),
    `bronze`, `kafka` (ends, and the lag of live and bronze; null where Kafka does not answer), `quality`, `store`,
    `rules`, `processes` (as given), and `warnings`: what is wrong, in plain words with the remedy.
    """
    found: dict[str, Any] = {"at": _iso(now), "home": str(settings.home)}
    found |= _stored(settings, now)
    log = next((g["log"] for g in reversed(found["generations"]) if g["state"] != "retired"), None)
    found["bronze"] = bronze_reach(settings, log)
    found["kafka"] = _kafka(settings, found)
    if processes is not None:
        found["processes"] = [dict(p) for p in (processes() if callable(processes) else processes)]
    found["warnings"] = warnings(found, settings.publish_interval_seconds)
    return found


def _stored(settings: Settings, now: datetime) -> dict[str, Any]:
    nothing: dict[str, Any] = {"pointer": None, "generations": [], "dimensions": {}, "quality": None, "logs": []}
    nothing["rules"] = {"code": semantics_hash(settings.rules), "published": None, "live": None}
    try:
        with open_store(settings.store, create=False) as store, store.read() as reader:
            return {**nothing, **_read(reader, settings, now)}
    except TidemarkError as error:
        return {**nothing, "store": {"available": False, "error": str(error), "remedy": error.remedy}}


def _read(reader: Reader, settings: Settings, now: datetime) -> dict[str, Any]:
    pointer, generations = reader.pointer(), reader.generations()
    live = next((g for g in reversed(generations) if g.state != "retired"), None)
    answering = pointer.generation if pointer else live.number if live else None
    return {
        "store": {"available": True, "size_bytes": reader.size_bytes(), **reader.counts()},
        "pointer": _pointer(reader, settings, now),
        "generations": [_generation(reader, g, now) for g in generations],
        "logs": [{"number": k.number, "topic": k.topic, "topic_id": k.topic_id} for k in reader.logs()],
        "dimensions": {
            name: {"version": held.version, "loaded_at": _iso(held.loaded_at)}
            for name, held in reader.dimensions().items()
        },
        "quality": _quality(reader, settings, answering, pointer.segment if pointer else -1),
        "rules": {
            "code": semantics_hash(settings.rules),
            "published": pointer.semantics_hash if pointer else None,
            "live": live.semantics_hash if live else None,
        },
    }


def _pointer(reader: Reader, settings: Settings, now: datetime) -> dict[str, Any] | None:
    pointer = reader.pointer()
    if pointer is None:
        return None
    return {
        "run_id": pointer.run_id,
        "generation": pointer.generation,
        "cut": offsets_json(pointer.offsets),
        "published_at": _iso(pointer.published_at),
        "age_seconds": round((now - pointer.published_at).total_seconds(), 3),
        "previous": pointer.previous,
        **_manifest(settings, pointer.run_id),
    }


def _manifest(settings: Settings, run_id: str) -> dict[str, Any]:
    try:
        manifest = Runs(settings).manifest(run_id)
    except (TidemarkError, OSError, ValueError) as error:
        return {"manifest_error": str(error)}
    return {"sealed_at": manifest.cut.sealed_at, "verified": manifest.verified, "rows": manifest.rows}


def _generation(reader: Reader, generation: Generation, now: datetime) -> dict[str, Any]:
    last = reader.last_progress(generation.number)
    moment = datetime.fromtimestamp(last.batch_time_ms / 1000, UTC) if last else None
    offsets = last.to_offsets if last else generation.start
    return {
        "number": generation.number,
        "log": generation.log,
        "state": generation.state,
        "reason": generation.reason,
        "created_at": _iso(generation.created_at),
        "semantics_hash": generation.semantics_hash,
        "anchor_run": generation.anchor_run,
        "last_batch": last.batch if last else None,
        "last_batch_at": _iso(moment) if moment else None,
        "seconds_since_last_batch": round((now - moment).total_seconds(), 3) if moment else None,
        "offsets": offsets_json(offsets),
        "records": span(generation.start, offsets),
    }


def _quality(reader: Reader, settings: Settings, generation: int | None, after: int) -> dict[str, Any]:
    """What became of every record an answer is made of: rows by status, and the rejected by reason."""
    parts = [] if generation is None else _recorded(reader, generation, after)
    pointer = reader.pointer()
    try:
        if pointer:
            version = Runs(settings).manifest(pointer.run_id).tables[f"gold.{QUALITY.name}"]
            parts.append(table_at(settings.table_path(f"gold.{QUALITY.name}"), version).to_table())
    except (TidemarkError, OSError, ValueError, KeyError) as error:
        return {"error": f"The published counts cannot be read: {error}"}
    rows = [row for part in parts for row in part.to_pylist()]
    return {"rows": _tally(rows, "status"), "reasons": _tally([r for r in rows if r["reason"]], "reason")}


def _recorded(reader: Reader, generation: int, after: int) -> list[pa.Table]:
    """The counts behind the cut; of the blocks only these, for the others may be large."""
    b = blocks.c
    mine = (b.generation == generation) & (b.segment > after) & (b.measure == QUALITY.name)
    return [decode(payload) for (payload,) in reader.connection.execute(select(b.payload).where(mine))]


def _tally(rows: list[dict[str, Any]], by: str) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for row in rows:
        counts[row[by]] += row["rows"]
    return dict(sorted(counts.items()))


def _kafka(settings: Settings, found: Mapping[str, Any]) -> dict[str, Any]:
    answered = kafka_ends(settings)
    ends = answered["ends"]
    if ends is None:
        return {**answered, "lag": None}
    live = next((g["offsets"] for g in reversed(found["generations"]) if g["state"] != "retired"), None)
    bronze = found["bronze"]["offsets"] if found["bronze"] else None
    lag = {name: _behind(ends, reached) for name, reached in (("live", live), ("bronze", bronze))}
    return {**answered, "lag": lag}


def _behind(ends: Mapping[str, int], reached: Mapping[str, int] | None) -> dict[str, int] | None:
    if reached is None:
        return None
    return {p: max(0, end - reached.get(p, 0)) for p, end in ends.items()}


def offsets_json(offsets: Offsets) -> dict[str, int]:
    """The vector by partition, in order."""
    return {str(p): offsets[p] for p in sorted(offsets)}


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
