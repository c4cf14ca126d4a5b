"""The bronze query: Kafka -> Delta, every record as it arrived.

    python -m speed_layer.bronze

Each commit carries `{log, from, to}`, and must begin where the last one ended: so a replayed batch is seen and
skipped, and a lost checkpoint resumes at the table's own end (a plain Delta sink would write every row again).
"""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.streaming.query import StreamingQuery

from contracts.errors import FenceRefused, TidemarkError, TopicRecreated
from contracts.fields import BRONZE
from contracts.names import covers, dump_offsets, load_offsets, same
from contracts.settings import Settings
from contracts.topics import EVENTS, REJECTED
from infra import log
from infra.local.jars import ensure_jars
from spark_jobs import delta_io
from spark_jobs.session import build_session
from speed_layer import failpoints, running, source
from speed_layer.checkpoint import Checkpoint
from speed_layer.generations import RECREATED_REMEDY, check_not_lost, check_topic
from speed_layer.observe import QueryMetrics
from speed_layer.store import Log, open_store
from speed_layer.store.delta_log import commits
from speed_layer.topics import Topics, check_held

TABLE = "bronze.events"
_DESCRIPTION = "Every record of the event log, as it arrived. Append only; (log, partition, offset) is unique."


def committed(path: str, log_number: int, topic_id: str) -> dict[int, int]:
    """How far the table reaches in one log: the `to` of its newest commit.

    Raises `TopicRecreated` where those commits are of another topic: the store that numbers the logs is not the one
    that numbered them.
    """
    for commit in commits(path):
        if commit.metadata.get("log") == log_number:
            if commit.metadata.get("topic_id", topic_id) != topic_id:
                raise TopicRecreated(
                    f"Bronze has records of topic {commit.metadata['topic_id']} as log {log_number}, which is "
                    f"{topic_id} now",
                    "Restore the store these tables belong to, or begin with an empty TIDEMARK_HOME.",
                )
            return load_offsets(commit.metadata["to"])
    return {}


class Bronze:
    """The bronze query of one log. Raises `RecordsLost` where Kafka no longer holds what comes next."""

    def __init__(self, settings: Settings, topics: Topics, log_: Log, metrics: QueryMetrics) -> None:
        self._settings, self._topics, self._log, self._metrics = settings, topics, log_.number, metrics
        self._path = settings.table_path(TABLE)
        self._topic_id = log_.topic_id
        self.reached = committed(self._path, log_.number, self._topic_id)
        check_held(topics.beginnings(EVENTS.name), self.reached)
        self._start = {p: self.reached.get(p, 0) for p in topics.partitions(EVENTS.name)}
        self._checkpoint = Checkpoint(self._folder(), EVENTS.name)
        self.failure: TidemarkError | None = None

    def start(self, spark: SparkSession) -> StreamingQuery:
        """Start the query on `spark`."""
        s = self._settings
        delta_io.create(spark, self._path, BRONZE, _DESCRIPTION, ("broker_date",))
        records = source.records(spark, s.bootstrap, EVENTS.name, self._log, self._start, s.bronze_max_offsets)
        writer = records.writeStream.foreachBatch(self._guarded).queryName("bronze")
        writer = writer.option("checkpointLocation", str(self._checkpoint.folder))
        return writer.trigger(processingTime=f"{s.bronze_interval_seconds} seconds").start()

    def _folder(self) -> Path:
        """The checkpoint of the log; another one where it is behind the table, as after its loss."""
        base = self._settings.home / "checkpoints" / "bronze"
        name = f"log{self._log}-from-{'-'.join(f'{p}.{o}' for p, o in sorted(self._start.items()) if o) or '0'}"
        for folder in base.glob(f"log{self._log}-*"):
            first = self._first(folder)
            if first is not None:
                self._start = first
                return folder
        if (base / name / "offsets").exists():
            # It starts where this one does, and then went further than the table: that was deleted.
            (base / name).rename(base / f"stale-{time.time_ns()}-{name}")
        (base / name).mkdir(parents=True, exist_ok=True)
        (base / name / "start.json").write_text(dump_offsets(self._start))
        return base / name

    def _first(self, folder: Path) -> dict[int, int] | None:
        """Where the query of this checkpoint began; None where its next batch is not the table's."""
        checkpoint = Checkpoint(folder, EVENTS.name)
        last = checkpoint.last_planned()
        if last is None:
            return None
        first = load_offsets((folder / "start.json").read_text())
        planned, is_done = checkpoint.range_of(last, first), (folder / "commits" / str(last)).exists()
        is_next = same(planned.end, self.reached) or (same(planned.start, self.reached) and not is_done)
        return first if is_next else None

    def _guarded(self, batch: DataFrame, number: int) -> None:
        try:
            self._batch(batch, number)
        except TidemarkError as error:
            self.failure = error
            raise

    def _batch(self, batch: DataFrame, number: int) -> None:
        began = time.monotonic()
        self._check_topic()
        extent = self._checkpoint.range_of(number, self._start)
        if covers(self.reached, extent.end):
            self._metrics.committed(extent, "replayed")
            return
        if not same(extent.start, self.reached):
            raise FenceRefused(
                f"Bronze batch {number} starts at {extent.start}, the table ends at {self.reached}",
                f"Remove {self._checkpoint.folder}: bronze then resumes at the table's own end.",
            )
        rows = batch.withColumn("broker_date", F.to_date("broker_time")).coalesce(1).select(BRONZE.names)
        ends = {"log": self._log, "topic_id": self._topic_id}
        ends |= {"from": dump_offsets(extent.start), "to": dump_offsets(extent.end)}
        failpoints.reach("bronze.before_append")
        delta_io.append(rows, self._path, ends)
        failpoints.reach("bronze.after_append")
        self.reached = extent.end
        self._metrics.committed(extent, "written")
        self._metrics.phases(total=time.monotonic() - began)

    def check(self) -> None:
        """What is looked at beside the batches. Raises `TopicRecreated` where the topic is another.

        Where the new topic has fewer records than were read of the old one, Spark sees nothing new and runs no batch.
        """
        self._check_topic()
        self._metrics.behind(self._topics.ends(EVENTS.name), self.reached)

    def _check_topic(self) -> None:
        check_topic(self._topics, self._topic_id)


def log_now(settings: Settings, topics: Topics) -> Log:
    """The log that the topic is now. Raises `TopicRecreated` where no generation has taken it up yet."""
    topic_id = topics.topic_id(EVENTS.name)
    with open_store(settings.store).write() as writer:
        check_not_lost(writer, settings)
        if writer.logs() and writer.log_of(topic_id) is None:
            raise TopicRecreated(f"Topic {EVENTS.name} was deleted and created again", RECREATED_REMEDY)
        return writer.register_log(EVENTS.name, topic_id, datetime.now(UTC))


class Main:
    """The query as a process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._log = log.get("bronze")
        self._bronze: Bronze | None = None

    def run(self) -> None:
        """Run until stopped. Raises `TidemarkError`."""
        s, stopping, metrics = self._settings, running.Stopping(), QueryMetrics("bronze")
        running.serve_metrics(s.host, s.metrics_port_bronze)
        topics = Topics(s.bootstrap)
        for topic in (EVENTS, REJECTED):
            topics.ensure(topic, s.partitions)
        reads = log_now(s, topics)
        self._bronze = bronze = Bronze(s, topics, reads, metrics)
        spark = build_session(s, "tidemark-bronze", ensure_jars().spark, streaming=True, memory="768m")
        query = bronze.start(spark)
        self._log.info("started", log_number=reads.number)
        running.watch(query, stopping, bronze.check)
        spark.stop()

    def main(self) -> None:
        """Run, and exit with the error's own code."""
        running.run(self.run, self._log, lambda: self._bronze.failure if self._bronze else None)


def main() -> None:
    """Entry point."""
    log.configure("bronze")
    running.end(lambda: Main(Settings.from_env(os.environ)).main())


if __name__ == "__main__":
    main()
