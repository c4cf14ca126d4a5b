"""The merge: gold as published, combined with the partials behind the cut, in an in-memory DuckDB.

For each measure of entities: the rows of *touched* keys are merged when partials arrive, the others stay gold's.
For each derived table: gold's rows, plus `derive(touched merged) - derive(touched base)` as signed rows.
For each other measure: gold's rows and the partials beside them. The views add up rows of equal key, so merging those
with every batch would be work for nothing; `merged` gives them as one row a key.

`apply` is one DuckDB transaction: a query sees the state before or after it, never between.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from contracts.algebra import Algebra, Connection, connect, naive, naming
from contracts.derived import Derived
from contracts.errors import WarehouseDamaged
from contracts.measures import Measure
from contracts.reports import REPORTS
from contracts.settings import Settings
from serving.cut import Snapshot
from serving.dimensions import Dimensions
from speed_layer.store.delta_log import said
from speed_layer.store.runs import Manifest

_COMPACT_EVERY = 64


class Merge:
    """The merged state of one installation; `con` is its DuckDB. One thread applies, any cursor reads.

    Refreshing is many small statements, which more `threads` only slow down; cursors run side by side all the same.
    """

    def __init__(self, settings: Settings, threads: int = 1) -> None:
        self._settings = settings
        self.algebra = Algebra.of(settings.rules)
        self.con = _shut(threads)
        self._work = self.con.cursor()
        self._scratch = connect(threads)
        self._empty = {n: self.algebra.empty(self._scratch, n) for n in (*self.algebra.measures, *self.algebra.derived)}
        for name, table in self._empty.items():
            with naming(self._work, given=table):
                self._work.execute(f"CREATE TABLE base_{name} AS SELECT * FROM given")
        for name in self.algebra.measures:
            with naming(self._work, given=self._empty[name]):
                self._work.execute(f"CREATE TABLE touched_{name} AS SELECT * FROM given")
        for name in self.algebra.derived:
            with naming(self._work, given=self._empty[name]):
                self._work.execute(f"CREATE TABLE delta_{name} AS SELECT * FROM given")
        for report in REPORTS.values():
            with naming(self._work, given=naive(report.schema.empty_table())):
                self._work.execute(f"CREATE TABLE report_{report.name} AS SELECT * FROM given")
        self._touching = {m.name: self._prepare(m) for m in self.algebra.measures.values() if m.entity}
        self._dimensions = Dimensions(settings, self._work)
        self._applied = 0
        self._loaded: tuple[str, dict[str, int]] | None = _gold_of(None)
        self._declare()

    def apply(self, snapshot: Snapshot, extra: Iterable[str] = ()) -> None:
        """Move to a snapshot; `extra` statements run in the same transaction."""
        parts = _by_measure(snapshot)
        self._work.execute("BEGIN")
        try:
            if snapshot.is_fresh:
                self._reset(snapshot.manifest)
            for m in self.algebra.measures.values():
                if m.name in parts:
                    self._touch(m, parts[m.name])
            self._dimensions.take(snapshot.as_of.dimensions)
            self._compact()
            for statement in extra:
                self._work.execute(statement)
            self._work.execute("COMMIT")
            self._dimensions.settle(snapshot.as_of.dimensions)
            if snapshot.is_fresh:
                self._loaded = _gold_of(snapshot.manifest)
        except BaseException:
            self._work.execute("ROLLBACK")
            raise

    @property
    def speed_tables(self) -> list[str]:
        """The tables of what lies behind the cut."""
        return [*(f"touched_{n}" for n in self.algebra.measures), *(f"delta_{n}" for n in self.algebra.derived)]

    def _declare(self) -> None:
        """The merged relations `all_<table>` that views are made of."""
        for m in self.algebra.measures.values():
            untouched = f"SELECT * FROM base_{m.name}"
            if m.entity:
                untouched += f" b ANTI JOIN touched_{m.name} t ON {_same(m, 'b', 't')}"
            self._work.execute(f"CREATE VIEW all_{m.name} AS {untouched} UNION ALL SELECT * FROM touched_{m.name}")
        for d in self.algebra.derived.values():
            sums = self._sums(d)
            both = f"SELECT * FROM base_{d.name} UNION ALL SELECT * FROM delta_{d.name}"
            added = self._added(d)
            any_left = " OR ".join(f"{c} <> 0" for c in sums)
            summed = f"SELECT {added} FROM ({both}) GROUP BY ALL"
            self._work.execute(f"CREATE VIEW all_{d.name} AS SELECT * FROM ({summed}) WHERE {any_left}")
        for name, table in self._empty.items():
            self._work.execute(f"CREATE VIEW human_{name} AS {_without_bots(name, table.column_names)}")

    def merged(self, name: str) -> str:
        """SQL of a merged relation as the algebra has it: one row a key."""
        measure = self.algebra.measures.get(name)
        if measure is None or measure.entity:
            return f"SELECT * FROM all_{name}"
        return _combined(measure, f"SELECT * FROM all_{name}")

    def _added(self, d: Derived) -> str:
        """The columns of rows of equal key added up."""
        return ", ".join([*d.keys, *(f"sum({c})::BIGINT AS {c}" for c in self._sums(d))])

    def _sums(self, d: Derived) -> list[str]:
        return [c for c in self._empty[d.name].column_names if c not in d.keys]

    def _reset(self, manifest: Manifest | None) -> None:
        """Begin afresh; gold that is held already is not read again (a seal makes readers begin afresh, too)."""
        if _gold_of(manifest) != self._loaded:
            # Until the transaction holds, nothing counts as loaded.
            self._loaded = None
            for name in (*self.algebra.measures, *self.algebra.derived):
                self._work.execute(f"DELETE FROM base_{name}")
                if manifest:
                    self._load(f"base_{name}", f"gold.{name}", self._empty[name].schema, manifest)
            for report in REPORTS.values():
                self._work.execute(f"DELETE FROM report_{report.name}")
                if manifest and report.table in manifest.tables:
                    schema = naive(report.schema.empty_table()).schema
                    self._load(f"report_{report.name}", report.table, schema, manifest)
        for table in self.speed_tables:
            self._work.execute(f"DELETE FROM {table}")

    def _load(self, into: str, table: str, wanted: pa.Schema, manifest: Manifest) -> None:
        version = manifest.tables[table]
        stored = table_at(self._settings.table_path(table), version, manifest.cut.run_id)
        rows = (naive(pa.Table.from_batches([b])).select(wanted.names).cast(wanted) for b in stored.to_batches())
        batches = (batch for table in rows for batch in table.to_batches())
        with naming(self._work, given=pa.RecordBatchReader.from_batches(wanted, batches)):
            try:
                self._work.execute(f"INSERT INTO {into} SELECT * FROM given")
            except duckdb.InvalidInputException as error:
                raise _damaged(self._settings.table_path(table), version, error) from error

    def _prepare(self, m: Measure) -> list[str]:
        """Prepare what merging new partials of entities takes; gives it in order: declared once, run for every batch.

        The new partials are in `given_<m>`; the rows of their keys leave as `gone_<m>` and return as `came_<m>`.
        """
        name, work = m.name, self._work
        for role in ("given", "gone", "came"):
            work.execute(f"CREATE TABLE {role}_{name} AS SELECT * FROM touched_{name}")
        work.execute(f"CREATE TABLE keys_{name} AS SELECT {m.entity} FROM touched_{name}")
        together = f"SELECT * FROM gone_{name} UNION ALL SELECT * FROM given_{name}"
        steps = [
            f"INSERT INTO keys_{name} SELECT DISTINCT {m.entity} FROM given_{name}",
            f"INSERT INTO gone_{name} {_held(m)}",
            f"INSERT INTO came_{name} {_combined(m, together)}",
            f"DELETE FROM touched_{name} t USING keys_{name} k WHERE {_same(m, 't', 'k')}",
            f"INSERT INTO touched_{name} SELECT * FROM came_{name}",
            *(self._moving(d) for d in self.algebra.derived.values() if d.source == name),
            *(f"DELETE FROM {role}_{name}" for role in ("given", "keys", "gone", "came")),
        ]
        for number, step in enumerate(steps):
            work.execute(f"PREPARE {name}_{number} AS {step}")
        return [f"EXECUTE {name}_{number}" for number in range(len(steps))]

    def _touch(self, m: Measure, parts: pa.Table) -> None:
        """Merge new partials into the rows they touch, and move what is derived from those."""
        into = "given" if m.entity else "touched"
        with naming(self._work, parts=parts):
            self._work.execute(f"INSERT INTO {into}_{m.name} SELECT * FROM parts")
        for step in self._touching.get(m.name, ()):
            self._work.execute(step)

    def _moving(self, d: Derived) -> str:
        """Insert what a derived table gains and loses: signed rows."""
        sums = self._sums(d)
        sides = {"gone": [f"-{c} AS {c}" for c in sums], "came": sums}
        signed = " UNION ALL ".join(
            f"SELECT {', '.join([*d.keys, *columns])} FROM ({_derived_of(f'{side}_{d.source}', d)})"
            for side, columns in sides.items()
        )
        added = self._added(d)
        any_left = " OR ".join(f"sum({c}) <> 0" for c in sums)
        moved = f"SELECT {added} FROM ({signed}) GROUP BY {', '.join(d.keys)} HAVING {any_left}"
        return f"INSERT INTO delta_{d.name} {moved}"

    def _compact(self) -> None:
        """Combine what has piled up, so that reading stays cheap however long the process lives."""
        self._applied += 1
        if self._applied % _COMPACT_EVERY:
            return
        for m in self.algebra.measures.values():
            if not m.entity:
                held = _combined(m, f"SELECT * FROM touched_{m.name}")
                self._replace(f"touched_{m.name}", self._rows(held))
        for d in self.algebra.derived.values():
            added = self._added(d)
            self._replace(f"delta_{d.name}", self._rows(f"SELECT {added} FROM delta_{d.name} GROUP BY ALL"))

    def _replace(self, table: str, rows: pa.Table) -> None:
        self._work.execute(f"DELETE FROM {table}")
        with naming(self._work, given=rows):
            self._work.execute(f"INSERT INTO {table} SELECT * FROM given")

    def _rows(self, sql: str) -> pa.Table:
        return self._work.sql(sql).to_arrow_table()


def _without_bots(name: str, columns: list[str]) -> str:
    """What is left of a merged relation without what declared robots did; all of it where that is not told apart."""
    if "is_declared_bot" in columns:
        return f"SELECT * FROM all_{name} WHERE NOT is_declared_bot"
    if "bot_events" in columns:
        return f"SELECT * FROM all_{name} WHERE bot_events = 0"
    if "bot_visitors" in columns:
        human = "visitors - bot_visitors AS visitors, buyers - bot_buyers AS buyers"
        return f"SELECT * REPLACE ({human}) FROM all_{name} WHERE visitors > bot_visitors"
    return f"SELECT * FROM all_{name}"


def _combined(m: Measure, parts: str) -> str:
    """SQL of the rows of `parts`, those of equal key made one."""
    return f"WITH parts AS ({parts}) SELECT * FROM ({m.combine})"


def _held(m: Measure) -> str:
    """The rows of the keys as they stand: as merged before, else gold's."""
    name = m.name
    fresh = f"(SELECT * FROM keys_{name} k ANTI JOIN touched_{name} t ON {_same(m, 'k', 't')})"
    return f"""
        SELECT t.* FROM touched_{name} t SEMI JOIN keys_{name} k ON {_same(m, "t", "k")}
        UNION ALL SELECT b.* FROM base_{name} b SEMI JOIN {fresh} f ON {_same(m, "b", "f")}
    """


def _same(m: Measure, a: str, b: str) -> str:
    """Rows are touched by their entity: a visitor with all its sessions, an order, a refund."""
    return f"{a}.{m.entity} IS NOT DISTINCT FROM {b}.{m.entity}"


def _derived_of(entities: str, d: Derived) -> str:
    return f"WITH entities AS (SELECT * FROM {entities}) SELECT * FROM ({d.sql})"


def _gold_of(manifest: Manifest | None) -> tuple[str, dict[str, int]]:
    """What is read of a run: versions alone do not say it, a table that was built again may have another's."""
    return (manifest.cut.run_id, dict(manifest.tables)) if manifest else ("", {})


def table_at(path: str, version: int, run_id: str | None = None) -> ds.Dataset:
    """A Delta table at a version, as an Arrow dataset.

    Raises `WarehouseDamaged` where it cannot be read, or where that version is of another run than `run_id`: a table
    that was deleted and built again counts its versions from 0.
    """
    try:
        table = DeltaTable(path, version=version)
        dataset = table.to_pyarrow_dataset()
        owner = said(path, version).get("run_id", run_id) if run_id else None
    except (DeltaError, TableNotFoundError, OSError, ValueError) as error:
        raise _damaged(path, version, error) from error
    if owner != run_id:
        raise _damaged(path, version, ValueError(f"it is of run {owner}, not {run_id}"))
    return dataset


def check_whole(settings: Settings, manifest: Manifest) -> None:
    """Raise `WarehouseDamaged` where a table or a file of a published run is missing."""
    for name, version in manifest.tables.items():
        # Bronze goes on from run to run: its commits say ranges of the log.
        run_id = None if name.startswith("bronze.") else manifest.cut.run_id
        stored = table_at(settings.table_path(name), version, run_id)
        found = stored.filesystem.get_file_info(list(stored.files))
        missing = [file.path for file in found if not file.is_file]
        if missing:
            error = FileNotFoundError(f"{len(missing)} of its files are missing, as {missing[0]}")
            raise _damaged(settings.table_path(name), version, error)


def _damaged(path: str, version: int, error: Exception) -> WarehouseDamaged:
    why = str(error).splitlines()[0]
    remedy = "Run `tidemark recover` to go back to the newest run that is whole, then `tidemark nightly`."
    return WarehouseDamaged(f"Table {path} at version {version} cannot be read: {why}", remedy)


def _shut(threads: int) -> Connection:
    """A DuckDB that no query can make reach a file, the network, a setting or a variable of this process."""
    con = duckdb.connect(config={"threads": threads, "python_enable_replacements": False})
    for name, value in {"TimeZone": "'UTC'", "enable_external_access": "false", "lock_configuration": "true"}.items():
        con.execute(f"SET GLOBAL {name} = {value}")
    return con


def _by_measure(snapshot: Snapshot) -> Mapping[str, pa.Table]:
    tables: dict[str, list[pa.Table]] = {}
    for block in snapshot.blocks:
        tables.setdefault(block.measure, []).append(naive(block.table()))
    return {name: pa.concat_tables(parts) for name, parts in tables.items()}
