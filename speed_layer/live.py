"""The live query: Kafka -> deduplicate -> parse and partials (in Spark's workers) -> the store, in one transaction.

    python -m speed_layer.live

One micro-batch is one Spark job. Its effects outside the store (dead letters) follow the commit, at least once.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from contracts.algebra import QUALITY_SCHEMA, Algebra, connect
from contracts.errors import RecordsLost, TidemarkError
from contracts.measures import QUALITY
from contracts.names import span
from contracts.settings import Settings
from contracts.topics import EVENTS
from spark_jobs.stages import NAMED_TABLES, RECEIVED, REJECTED, Stage, from_ipc, partials_stage
from spark_jobs.transforms.batches import RECORD
from speed_layer import failpoints, source
from speed_layer.checkpoint import BatchRange, Checkpoint
from speed_layer.dead_letters import DeadLetters
from speed_layer.generations import Running, adopt_when_caught_up, check_topic
from speed_layer.observe import LiveMetrics
from speed_layer.seen import Seen, Server, firsts
from speed_layer.store import Store
from speed_layer.topics import Topics

# Up to this many records one task is as fast as two, and costs half: what a task costs hardly depends on its records.
_FEW_RECORDS = 8_000


class Live:
    """One generation's live query, from its checkpoint into the store."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        topics: Topics,
        running: Running,
        semantics_hash: str,
        dead_letters: DeadLetters,
        metrics: LiveMetrics,
    ) -> None:
        self._settings, self._store, self._topics, self._running = settings, store, topics, running
        self._hash, self._dead_letters, self._metrics = semantics_hash, dead_letters, metrics
        self._checkpoint = Checkpoint(running.checkpoint, EVENTS.name)
        with store.read() as reader:
            # The topic that the generation reads: asked of Kafka now, it might be another already.
            (self._topic_id,) = (k.topic_id for k in reader.logs() if k.number == running.generation.log)
        self._seen = Seen(running.seen, settings.dedupe_horizon_seconds)
        self._keep = firsts(Server(self._seen, settings.host).address)
        self.failure: TidemarkError | None = None

    def start(self, spark: SparkSession) -> StreamingQuery:
        """Start the query on `spark`."""
        s, generation = self._settings, self._running.generation
        records = source.records(spark, s.bootstrap, EVENTS.name, generation.log, generation.start, s.live_max_offsets)
        writer = records.select(RECORD.names).writeStream.foreachBatch(self._guarded)
        writer = writer.option("checkpointLocation", str(self._running.checkpoint)).queryName("live")
        return writer.trigger(processingTime=f"{s.live_interval_seconds} seconds").start()

    def _guarded(self, batch: DataFrame, number: int) -> None:
        try:
            self._batch(batch, number)
        except TidemarkError as error:
            self.failure = error
            raise

    def _batch(self, batch: DataFrame, number: int) -> None:
        began = time.monotonic()
        extent = self._checkpoint.range_of(number, dict(self._running.generation.start))
        failpoints.reach("live.mid_batch")
        few = span(extent.start, extent.end) <= _FEW_RECORDS
        self._seen.begin(extent.time_ms)
        stage = partials_stage(self._settings.rules, self._running.counts_from, self._keep)
        tables = collect(batch.coalesce(1) if few else batch, stage)
        self._seen.sync()
        # An id never comes back: where it is the same after reading, everything was read from that topic.
        self.check_topic()
        computed = time.monotonic()
        rejected, received = tables.pop(REJECTED, None), tables.pop(RECEIVED, None)
        tables[QUALITY.name] = with_duplicates(
            tables.get(QUALITY.name, QUALITY_SCHEMA.empty_table()), self._running, extent
        )
        outcome = self._record(number, extent, tables)
        failpoints.reach("live.after_commit")
        committed = time.monotonic()
        if rejected is not None and self._is_heard():
            self._dead_letters.send(rejected)
        self._metrics.batch(extent, tables[QUALITY.name], received, outcome)
        self._metrics.phases(compute=computed - began, commit=committed - computed, total=time.monotonic() - began)

    def check(self) -> None:
        """What is looked at beside the batches. Raises `TopicRecreated`."""
        self.check_topic()
        self._metrics.seen_bytes.set(self._seen.bytes)

    def check_topic(self) -> None:
        """Raise `TopicRecreated` where the topic is another. Asked beside the batches, too.

        Where the new topic has fewer records than were read of the old one, Spark sees nothing new and runs no batch.
        """
        check_topic(self._topics, self._topic_id)

    def _record(self, number: int, extent: BatchRange, tables: Mapping[str, pa.Table]) -> str:
        with self._store.write() as writer:
            recorded = writer.record_batch(
                self._running.generation.number,
                number,
                extent.start,
                extent.end,
                extent.time_ms,
                self._hash,
                tables,
                horizon_seconds=self._settings.dedupe_horizon_seconds,
            )
            adopt_when_caught_up(writer, self._running, extent.end)
            failpoints.reach("live.in_commit")
        return recorded

    def _is_heard(self) -> bool:
        """A generation that is not the pointer's is mute."""
        with self._store.read() as reader:
            pointer = reader.pointer()
            return pointer is None or pointer.generation == self._running.generation.number


def collect(batch: DataFrame, stage: Stage) -> dict[str, pa.Table]:
    """Run the micro-batch, once, and bring its partials to the driver, by measure."""
    rows = batch.mapInArrow(stage, NAMED_TABLES).collect()
    by_name: dict[str, list[pa.Table]] = {}
    for row in rows:
        by_name.setdefault(row["name"], []).append(from_ipc(bytes(row["payload"])))
    return {name: pa.concat_tables(parts) for name, parts in by_name.items()}


def with_duplicates(quality: pa.Table, running: Running, extent: BatchRange) -> pa.Table:
    """The counts with each partition's duplicates: offsets are dense, so they are what is missing from the range."""
    log, rows = running.generation.log, []
    for partition, end in extent.end.items():
        first = max(extent.start.get(partition, 0), running.counts_from.get(partition, 0))
        seen = pc.sum(quality.filter(pc.equal(quality["partition"], partition))["rows"]).as_py() or 0
        duplicates = span({partition: first}, {partition: max(end, first)}) - seen
        if duplicates < 0:
            raise RecordsLost(f"Partition {partition} gave {-duplicates} more records than offsets", "Report this.")
        if duplicates:
            rows.append({"log": log, "partition": partition, "status": "duplicate", "reason": "", "rows": duplicates})
    return pa.concat_tables([quality, pa.Table.from_pylist(rows, QUALITY_SCHEMA)])


class Folding(threading.Thread):
    """Folds recorded batches about every interval, so that a day does not become a hundred thousand blocks."""

    def __init__(self, store: Store, settings: Settings, generation: int) -> None:
        super().__init__(name="folding", daemon=True)
        self._store, self._settings, self._generation = store, settings, generation
        self._stopping = threading.Event()
        self.failure: TidemarkError | None = None

    def run(self) -> None:
        """Fold until `stop`."""
        algebra, con = Algebra.of(self._settings.rules), connect()
        while not self._stopping.wait(self._settings.fold_interval_seconds):
            try:
                self._store.fold(
                    self._generation, lambda m, parts: algebra.combine(con, m, parts), int(time.time() * 1000)
                )
            except TidemarkError as error:
                self.failure = error
                return

    def stop(self) -> None:
        """End the thread and wait for it."""
        self._stopping.set()
        self.join()


def describe(running: Running) -> str:
    """One line for the log."""
    g = running.generation
    return json.dumps({"generation": g.number, "log": g.log, "start": g.start, "counts_from": running.counts_from})
