"""The oracle itself: raw records in, every table out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeAlias

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds

from contracts.errors import RunInvalid
from serving.oracle import answers, facts, rules
from serving.oracle.enriching import QUARTER, Enriching
from serving.oracle.macros import MACROS
from serving.oracle.reading import SAID, read_batches

Records: TypeAlias = pa.Table | pa.RecordBatchReader | Sequence[str | Path] | str | Path
_NEEDED: Final = ["log", "partition", "offset", "dedupe_key", "value"]
_BATCH_ROWS: Final = 2_000  # small enough that Python's collector of garbage passes over it
_FACTS: Final = ("orders", "refunds", "sessions")


class Oracle:
    """Every table of the algebra, computed a second time from raw records.

        oracle = Oracle(settings.rules)
        oracle.load(bronze)             # rows below the cut, then
        oracle.load(rows_from_kafka)    # what Kafka holds above bronze's end
        oracle.table("orders")

    Its tables are temporary and its own: a connection that is passed in lends threads and memory and sees none of them.
    """

    def __init__(self, settings: Mapping[str, str], con: duckdb.DuckDBPyConnection | None = None) -> None:
        """`settings` are `Settings.rules`: what changes results."""
        self._con = (con or duckdb.connect()).cursor()
        self._con.execute("SET TimeZone = 'UTC'")
        for macro in MACROS:
            self._con.execute(f"CREATE TEMP MACRO {macro}")
        self._con.register("none_said", SAID.empty_table())
        self._con.execute("CREATE TEMP TABLE said AS SELECT * FROM none_said")
        self._steps = {**rules.statements(settings), **facts.statements(settings)}
        self._answers = answers.statements(settings)
        self._enriching = Enriching(settings)
        self._rows = 0
        self._judged = False

    @property
    def names(self) -> tuple[str, ...]:
        """Every table there is."""
        return (*_FACTS, *self._answers)

    def load(self, records: Records) -> int:
        """Add records; returns how many. Columns `log, partition, offset, dedupe_key, value`; others are ignored.

        `records` is an Arrow table, a stream of batches, or paths of Parquet files. May be called more than once.
        """
        reader = pa.RecordBatchReader.from_batches(SAID, read_batches(_batches(records), self._enriching, self._rows))
        self._con.register("arrived", reader)
        try:
            self._con.execute("INSERT INTO said SELECT * FROM arrived")
        finally:
            self._con.unregister("arrived")
        before, self._rows = self._rows, self._con.sql("SELECT count(*) FROM said").fetchall()[0][0]
        self._judged = False
        return self._rows - before

    def table(self, name: str) -> pa.Table:
        """The table `name`: the algebra's columns in its order, naive UTC timestamps, integers as 64 bits.

        Raises `RunInvalid` where the records loaded hold one twice, and `KeyError` for a table that is none.
        """
        sql = f"SELECT * FROM {name}" if name in _FACTS else self._answers[name]
        self._judge()
        return self._con.sql(sql).to_arrow_table()

    def events(self) -> pa.Table:
        """The good events as the oracle understands them, to look into a difference."""
        self._judge()
        return self._con.sql("SELECT * EXCLUDE (n) FROM events").to_arrow_table()

    def _judge(self) -> None:
        if self._judged:
            return
        self._refuse_twins()
        for name, sql in self._steps.items():
            if name == "events":
                self._tell_times()
            self._con.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS {sql}")
        self._judged = True

    def _tell_times(self) -> None:
        """The table `local_times`: local time and day wherever good events are."""
        quarter = f"epoch_us(event_time) // {QUARTER}"
        rows = self._con.sql(f"SELECT DISTINCT zone, country, {quarter} FROM named").fetchall()
        self._con.register("told", self._enriching.of_times(rows))
        try:
            self._con.execute("CREATE OR REPLACE TEMP TABLE local_times AS SELECT * FROM told")
        finally:
            self._con.unregister("told")

    def _refuse_twins(self) -> None:
        """A record counted twice would make every answer wrong: bronze and Kafka overlap, or bronze repeats itself."""
        twins = self._con.sql(
            'SELECT log, partition, "offset" FROM said GROUP BY ALL HAVING count(*) > 1 ORDER BY ALL LIMIT 1',
        ).fetchall()
        if twins:
            message = "Record (log {}, partition {}, offset {}) was given more than once.".format(*twins[0])
            raise RunInvalid(message, "Give bronze below an offset and Kafka from it on; rebuild bronze if it repeats.")


def _batches(records: Records) -> Iterator[pa.RecordBatch]:
    if isinstance(records, pa.Table):
        yield from records.select(_NEEDED).to_batches(max_chunksize=_BATCH_ROWS)
    elif isinstance(records, pa.RecordBatchReader):
        for batch in records:
            for start in range(0, len(batch), _BATCH_ROWS):
                yield batch.select(_NEEDED).slice(start, _BATCH_ROWS)
    else:
        paths = [records] if isinstance(records, str | Path) else list(records)
        files = ds.dataset([str(path) for path in paths], format="parquet")
        yield from files.to_batches(columns=_NEEDED, batch_size=_BATCH_ROWS)
