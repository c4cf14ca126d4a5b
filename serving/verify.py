"""Verification: what is there against the independent oracle (law L4), and coverage of offsets (law L2)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition
from deltalake import DeltaTable

from contracts.algebra import Algebra, naive
from contracts.errors import RecordsLost
from contracts.names import Offsets, covers, span
from contracts.settings import Settings
from contracts.topics import EVENTS
from serving.client import Tidemark
from serving.merge import table_at
from serving.oracle.compare import differences
from serving.oracle.oracle import Oracle
from speed_layer.store.runs import Manifest, RunCut, Runs

BRONZE = "bronze.events"
_COLUMNS = ["log", "partition", "offset", "dedupe_key", "value"]
_POLL_SECONDS = 10.0
_REMEDY = "Start Kafka, or wait for bronze."

Progress = Callable[[str], None]


def verify_run(settings: Settings, run_id: str, progress: Progress = lambda _: None) -> list[dict[str, Any]]:
    """A built run's gold against the oracle over bronze below its cut; empty means exact. Written down with the run."""
    runs = Runs(settings)
    cut, tables = runs.cut(run_id), runs.tables(run_id)
    oracle = _loaded(settings, cut.bronze_version, cut, {}, progress)
    found: list[dict[str, Any]] = []
    algebra = Algebra.of(settings.rules)
    for name in (*algebra.measures, *algebra.derived):
        progress(f"verify {name}")
        version = tables[f"gold.{name}"]["version"]
        gold = naive(table_at(settings.table_path(f"gold.{name}"), version).to_table())
        expected = oracle.table(name)
        found += differences(name, keys_of(algebra, name), expected, gold.select(expected.column_names))
    runs.write_verified(run_id, found)
    return found


def verify_merged(settings: Settings, tm: Tidemark, progress: Progress = lambda _: None) -> list[dict[str, Any]]:
    """The merged answer as it is now against one pass over bronze and, above bronze's end, Kafka; empty means exact."""
    as_of = tm.refresh()
    manifest = Runs(settings).manifest(as_of.run_id) if as_of.run_id else None
    found = coverage(as_of.cut, as_of.offsets, manifest)
    until = RunCut("", as_of.log or 0, "", dict(as_of.offsets), 0, 0, 0, "", -1, "")
    oracle = _loaded(settings, None, until, as_of.offsets, progress)
    algebra = Algebra.of(settings.rules)
    for name in (*algebra.measures, *algebra.derived):
        progress(f"verify {name}")
        found += differences(name, keys_of(algebra, name), oracle.table(name), tm.table(name))
    return found


def keys_of(algebra: Algebra, name: str) -> tuple[str, ...]:
    """The key columns of a measure or derived table."""
    return algebra.measures[name].keys if name in algebra.measures else algebra.derived[name].keys


def coverage(cut: Offsets, offsets: Offsets, manifest: Manifest | None) -> list[dict[str, Any]]:
    """L2: the speed half begins where the batch half ends, in every partition."""
    if manifest and not covers(offsets, cut):
        return [{"table": "coverage", "difference": "behind", "cut": dict(cut), "offsets": dict(offsets)}]
    return []


def _loaded(settings: Settings, version: int | None, cut: RunCut, above: Offsets, progress: Progress) -> Oracle:
    """An oracle over bronze below the cut and, for what bronze lacks of `above`, Kafka."""
    oracle = Oracle(settings.rules)
    held: dict[int, int] = {}
    for batch in _bronze(settings, version, cut):
        oracle.load(pa.Table.from_batches([batch]))
        for partition in pc.unique(batch["partition"]).to_pylist():
            mine = pc.equal(batch["partition"], partition)
            top = pc.max(batch.filter(pc.and_(mine, pc.equal(batch["log"], cut.log)))["offset"]).as_py()
            held[partition] = max(held.get(partition, 0), (top + 1) if top is not None else 0)
    missing = {p: (held.get(p, 0), end) for p, end in above.items() if end > held.get(p, 0)}
    if missing:
        count = span({p: first for p, (first, _) in missing.items()}, dict(above))
        progress(f"reading {count} records above bronze from Kafka")
        oracle.load(_from_kafka(settings.bootstrap, cut.log, missing))
    return oracle


def _bronze(settings: Settings, version: int | None, cut: RunCut) -> Iterator[pa.RecordBatch]:
    path = settings.table_path(BRONZE)
    if version is None:
        if not DeltaTable.is_deltatable(path):
            return
        version = DeltaTable(path).version()
    stored: ds.Dataset = table_at(path, version)
    below = ds.field("log") < cut.log
    for partition, end in cut.offsets.items():
        mine = (ds.field("log") == cut.log) & (ds.field("partition") == partition)
        below = below | (mine & (ds.field("offset") < end))
    yield from stored.to_batches(columns=_COLUMNS, filter=below)


def _from_kafka(bootstrap: str, log: int, missing: dict[int, tuple[int, int]]) -> pa.Table:
    """Records of `[first, end)` by partition. Raises `RecordsLost` where Kafka does not give them."""
    config = {"bootstrap.servers": bootstrap, "group.id": "tidemark-verify", "enable.auto.commit": False}
    consumer = Consumer(config | {"auto.offset.reset": "error", "log_level": 0})
    rows: list[dict[str, Any]] = []
    left = dict(missing)
    try:
        starts = [TopicPartition(EVENTS.name, p, first or OFFSET_BEGINNING) for p, (first, _) in missing.items()]
        consumer.assign(starts)
        while left:
            message = consumer.poll(_POLL_SECONDS)
            if message is None or message.error():
                why = message.error() if message else "no answer"
                raise RecordsLost(f"Kafka at {bootstrap} does not give {left}: {why}", _REMEDY)
            partition, offset = message.partition(), message.offset()
            if partition is None or offset is None or partition not in left or offset >= left[partition][1]:
                continue
            key = dict(message.headers() or []).get("tm-key")
            rows.append(
                {"log": log, "partition": partition, "offset": offset, "dedupe_key": key, "value": message.value()}
            )
            if offset + 1 == left[partition][1]:
                del left[partition]
    except KafkaException as error:
        raise RecordsLost(f"Kafka at {bootstrap} cannot be read: {error}", _REMEDY) from error
    finally:
        consumer.close()
    kinds = {"log": pa.int32(), "partition": pa.int32(), "offset": pa.int64()}
    schema = pa.schema([(c, kinds.get(c, pa.binary())) for c in _COLUMNS])
    return pa.Table.from_pylist(rows, schema)
