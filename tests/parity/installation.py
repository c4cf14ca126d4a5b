"""An installation without Kafka: real store, real Delta tables, and the live path fed by hand."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
from pyspark.sql import SparkSession

from contracts.algebra import QUALITY_SCHEMA, Algebra, connect, naive
from contracts.fields import BRONZE
from contracts.measures import QUALITY
from contracts.names import dump_offsets
from contracts.semantics import semantics_hash
from contracts.settings import Settings
from spark_jobs import delta_io
from spark_jobs.jobs.gold import build_gold
from spark_jobs.jobs.report import build_reports
from spark_jobs.jobs.seal import BRONZE as BRONZE_TABLE
from spark_jobs.jobs.seal import seal
from spark_jobs.jobs.silver import build_silver
from spark_jobs.stages import RECEIVED, REJECTED, partials_stage
from spark_jobs.transforms.batches import RECORD
from speed_layer.checkpoint import BatchRange
from speed_layer.generations import Running
from speed_layer.live import collect, with_duplicates
from speed_layer.store import open_store
from speed_layer.store.runs import RunCut, Runs
from tests.worlds import at_cut, ends_of, unique

Offsets = dict[int, int]
NOW = datetime(2024, 3, 2, tzinfo=UTC)
BATCH_MS = 1000


class Installation:
    """Its log is `records`, whole; `arrive` and `run_live` say how far bronze and live have read it."""

    def __init__(self, spark: SparkSession, settings: Settings, records: pa.Table) -> None:
        self.spark, self.settings, self.records = spark, settings, records
        self.algebra = Algebra.of(settings.rules)
        self.store = open_store(settings.store)
        self.ends = ends_of(records)
        nothing = dict.fromkeys(self.ends, 0)
        self._kept, _ = unique(records)
        self._hash = semantics_hash(settings.rules)
        with self.store.write() as writer:
            log = writer.register_log("events", "topic-a", NOW)
            made = writer.create_generation(log.number, nothing, self._hash, None, "active", NOW, "a test")
        self.running = Running(made, nothing, Path("unused"))
        self._bronze, self._live, self._batches = nothing, nothing, 0

    def arrive(self, until: Offsets) -> None:
        """One commit of bronze, as the bronze query makes it."""
        path = self.settings.table_path(BRONZE_TABLE)
        delta_io.create(self.spark, path, BRONZE, "Every record.", ("broker_date",))
        ends = {"log": self.running.generation.log, "from": dump_offsets(self._bronze), "to": dump_offsets(until)}
        rows = self.spark.createDataFrame(self._between(self.records, self._bronze, until)).select(BRONZE.names)
        delta_io.append(rows, path, ends)
        self._bronze = until

    def run_live(self, until: Offsets) -> None:
        """One micro-batch up to `until`. Its copies are gone: `test_live_dedupe` shows how."""
        records = self._between(self._kept, self._live, until).select(RECORD.names)
        extent = BatchRange(self._live, until, BATCH_MS * self._batches)
        frame = self.spark.createDataFrame(records).repartition(2)
        tables = collect(frame, partials_stage(self.settings.rules, self.running.counts_from))
        tables.pop(REJECTED, None)
        tables.pop(RECEIVED, None)
        quality = tables.get(QUALITY.name, QUALITY_SCHEMA.empty_table())
        tables[QUALITY.name] = with_duplicates(quality, self.running, extent)
        with self.store.write() as writer:
            number = self.running.generation.number
            args = (number, self._batches, extent.start, extent.end, extent.time_ms, self._hash, tables)
            writer.record_batch(*args, horizon_seconds=3600)
        self._live, self._batches = until, self._batches + 1

    def fold(self) -> None:
        """Fold everything there is."""
        con = connect()
        self.store.fold(self.running.generation.number, lambda m, p: self.algebra.combine(con, m, p), 10**12)

    def nightly(self, run_id: str) -> RunCut:
        """Seal and build a run."""
        sealed = seal(self.settings, self.store, run_id, NOW, wait_seconds=0)
        build_silver(self.spark, self.settings, run_id)
        build_gold(self.spark, self.settings, run_id)
        build_reports(self.spark, self.settings, self.store, run_id)
        return sealed

    def gold(self, run_id: str) -> dict[str, pa.Table]:
        """Every gold table of a run, by the name of its measure or derived table."""
        made, known = Runs(self.settings).tables(run_id), {*self.algebra.measures, *self.algebra.derived}
        gold = {name: m["version"] for name, m in made.items() if name.removeprefix("gold.") in known}
        return {name.removeprefix("gold."): self._read(name, version) for name, version in gold.items()}

    def speed(self, after_segment: int = -1) -> dict[str, pa.Table]:
        """The partials of the segments above one, combined."""
        with self.store.read() as reader:
            blocks = reader.blocks(self.running.generation.number, after_segment)
        con = connect()
        parts = {name: [self.algebra.empty(con, name)] for name in self.algebra.measures}
        for block in blocks:
            parts[block.measure].append(block.table())
        return {name: self.algebra.combine(con, name, tables) for name, tables in parts.items()}

    def _read(self, name: str, version: int) -> pa.Table:
        table = pa.table(delta_io.open_table(self.settings.table_path(name), version).to_pyarrow_table())
        con = connect()
        return naive(table).cast(naive(self.algebra.empty(con, name.removeprefix("gold."))).schema)

    @staticmethod
    def _between(table: pa.Table, start: Offsets, end: Offsets) -> pa.Table:
        return at_cut(at_cut(table, end)[0], start)[1]


def stops(ends: Offsets, shares: Iterable[float]) -> list[Offsets]:
    """Offsets that advance by `shares` of the log, each partition at a pace of its own; the last is all."""
    return [{p: min(end, round(end * share + p)) for p, end in ends.items()} for share in shares] + [dict(ends)]
