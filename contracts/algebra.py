"""Runs the declared SQL over Arrow tables in an in-process DuckDB. Pure: what goes in decides what comes out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import duckdb
import pyarrow as pa

from contracts.derived import Derived, derived
from contracts.fields import EVENT
from contracts.measures import QUALITY, Measure, measures

Connection = duckdb.DuckDBPyConnection


def connect(threads: int = 1, memory: str | None = None) -> Connection:
    """An in-memory DuckDB for the algebra: UTC, no files, no downloads. `memory` such as `2GB`."""
    con = duckdb.connect(config={"threads": threads, "autoload_known_extensions": False})
    con.execute("SET TimeZone = 'UTC'")
    if memory:
        con.execute(f"SET memory_limit = '{memory}'")
    return con


@dataclass(frozen=True)
class Algebra:
    """The measures and derived tables of one set of rules (`Settings.rules`)."""

    measures: Mapping[str, Measure]
    derived: Mapping[str, Derived]

    @classmethod
    def of(cls, rules: Mapping[str, str]) -> Algebra:
        """The algebra these rules declare."""
        steps = tuple(step.strip() for step in rules["funnel_steps"].split(","))
        return cls({**measures(int(rules["session_gap_seconds"])), QUALITY.name: QUALITY}, derived(steps))

    def partials(self, con: Connection, events: pa.Table) -> dict[str, pa.Table]:
        """Every measure's partials of these good events (columns `fields.EVENT`)."""
        with naming(con, events=naive(events)):
            lifted = {m.name: m for m in self.measures.values() if m is not QUALITY}
            return {name: _run(con, _partial_sql(m)) for name, m in lifted.items()}

    def partial(self, con: Connection, measure: str, events: pa.Table | pa.RecordBatchReader) -> pa.Table:
        """One measure's partials; `events` may be a stream larger than memory."""
        with naming(con, events=events if isinstance(events, pa.RecordBatchReader) else naive(events)):
            return _run(con, _partial_sql(self.measures[measure]))

    def combine(self, con: Connection, measure: str, parts: Iterable[pa.Table]) -> pa.Table:
        """The partials of equal key merged into one; the order of `parts` does not matter."""
        together = pa.concat_tables([naive(p) for p in parts])
        with naming(con, parts=together):
            return _run(con, self.measures[measure].combine)

    def derive(self, con: Connection, name: str, entities: pa.Table) -> pa.Table:
        """A derived table of these entities."""
        with naming(con, entities=naive(entities)):
            return _run(con, self.derived[name].sql)

    def empty(self, con: Connection, name: str) -> pa.Table:
        """A measure's or derived table's columns and types, with no rows."""
        if name == QUALITY.name:
            return QUALITY_SCHEMA.empty_table()
        if name in self.measures:
            return self.partial(con, name, EVENT.empty_table())
        return self.derive(con, name, self.empty(con, self.derived[name].source))


QUALITY_SCHEMA = pa.schema(
    [
        ("log", pa.int32()),
        ("partition", pa.int32()),
        ("status", pa.string()),
        ("reason", pa.string()),
        ("rows", pa.int64()),
    ],
)


def naive(table: pa.Table) -> pa.Table:
    """The table with UTC instants as naive timestamps: the form inside the algebra."""
    return _retyped(table, to_zone=None)


def instants(table: pa.Table) -> pa.Table:
    """The table with naive timestamps as UTC instants: the form in Delta."""
    return _retyped(table, to_zone="UTC")


@contextmanager
def naming(con: Connection, **relations: pa.Table | pa.RecordBatchReader) -> Iterator[None]:
    """Give Arrow data names in SQL for the length of a `with` block."""
    for name, relation in relations.items():
        con.register(name, relation)
    try:
        yield
    finally:
        for name in relations:
            # In a transaction that an error has ended nothing can be unregistered; the error is what counts.
            with suppress(duckdb.TransactionException):
                con.unregister(name)


def _partial_sql(measure: Measure) -> str:
    return f"WITH parts AS ({measure.lift}) SELECT * FROM ({measure.combine})"


def _run(con: Connection, sql: str) -> pa.Table:
    return con.sql(sql).to_arrow_table()


def _retyped(table: pa.Table, to_zone: str | None) -> pa.Table:
    schema = pa.schema([pa.field(f.name, retype(f.type, to_zone)) for f in table.schema])
    return table if schema.equals(table.schema) else table.cast(schema)


def retype(kind: pa.DataType, to_zone: str | None) -> pa.DataType:
    """The type with every timestamp in it, however nested, in `to_zone` (None: naive)."""
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", to_zone)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pa.list_(retype(kind.value_type, to_zone))
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(f.name, retype(f.type, to_zone)) for f in kind])
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.string()
    return kind
