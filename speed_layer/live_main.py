"""The live query as a process.

python -m speed_layer.live_main
"""

from __future__ import annotations

import os
from datetime import UTC, datetime

from contracts.errors import ClockJumped
from contracts.semantics import semantics_hash
from contracts.settings import Settings
from contracts.topics import EVENTS, REJECTED
from infra import log
from infra.local.jars import ensure_jars
from spark_jobs.session import build_session
from speed_layer import running
from speed_layer.dead_letters import DeadLetters
from speed_layer.generations import begin, to_run
from speed_layer.live import Folding, Live
from speed_layer.observe import LiveMetrics
from speed_layer.retention import check_retention
from speed_layer.store import open_store
from speed_layer.topics import Topics, check_held


class Main:
    """Everything the process holds."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._log = log.get("live")
        self._live: Live | None = None

    def run(self) -> None:
        """Run until stopped. Raises `TidemarkError`."""
        s, stopping = self._settings, running.Stopping()
        metrics = LiveMetrics()
        running.serve_metrics(s.host, s.metrics_port_live)
        topics = Topics(s.bootstrap)
        for topic in (EVENTS, REJECTED):
            topics.ensure(topic, s.partitions)
        check_retention(topics, s)
        store = open_store(s.store)
        rules = semantics_hash(s.rules)
        chosen = to_run(store, topics, s, rules, datetime.now(UTC))
        with store.read() as reader:
            last = reader.last_progress(chosen.generation.number)
        check_held(topics.beginnings(EVENTS.name), last.to_offsets if last else chosen.generation.start)
        spark = build_session(s, "tidemark-live", ensure_jars().spark, streaming=True, memory="768m")
        self._live = Live(s, store, topics, chosen, rules, DeadLetters(s.bootstrap), metrics)
        query = self._live.start(spark)
        folding = Folding(store, s, chosen.generation.number)
        folding.start()
        self._log.info("started", generation=chosen.generation.number, reason=chosen.generation.reason)
        if not s.geo_path:
            self._log.warning("no_country_database", remedy="`tidemark geo install` fetches one; countries are null.")

        live = self._live

        def check() -> None:
            live.check()
            if folding.failure:
                raise folding.failure
            with store.read() as reader:
                progress = reader.last_progress(chosen.generation.number)
            metrics.behind(topics.ends(EVENTS.name), progress.to_offsets if progress else chosen.generation.start)

        running.watch(query, stopping, check)
        folding.stop()
        spark.stop()

    def main(self) -> None:
        """Run, and exit with the error's own code. After a jump of the clock the next start runs a new generation."""
        try:
            running.run(self.run, self._log, lambda: self._live.failure if self._live else None)
        except SystemExit as end:
            if end.code == ClockJumped.exit_code and self._live:
                self._begin_again(str(self._live.failure))
            raise

    def _begin_again(self, reason: str) -> None:
        s = self._settings
        chosen = begin(open_store(s.store), Topics(s.bootstrap), s, semantics_hash(s.rules), datetime.now(UTC), reason)
        self._log.warning("new_generation", generation=chosen.generation.number, reason=reason)


def main() -> None:
    """Entry point."""
    log.configure("live")
    running.end(lambda: Main(Settings.from_env(os.environ)).main())


if __name__ == "__main__":
    main()
