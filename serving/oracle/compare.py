"""Two versions of one table, held against each other: exact, and whatever the order of rows."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

import duckdb
import pyarrow as pa

Difference = dict[str, Any]
_SIDES: Final = ("expected", "actual")


def differences(
    name: str,
    keys: Sequence[str],
    expected: pa.Table,
    actual: pa.Table,
    limit: int = 20,
) -> list[Difference]:
    """What is not the same in table `name`, as JSON values; empty means exact.

    Rows are matched by `keys` (NULL equals NULL; rows of equal key are matched in order of their values). A difference
    says `difference`: `columns`, `types`, `missing` (only expected has the row), `extra` or `changed`; then `key`, the
    `values` that are not the same as `{column: {expected, actual}}`, and `total`, the number of rows that differ, of
    which the first `limit` by key are listed. Widths of integers and time zones of instants do not count.
    """
    if shape := _shape_differences(name, expected, actual):
        return shape[:limit]
    con = duckdb.connect()
    con.execute("SET TimeZone = 'UTC'")
    for side, table in zip(_SIDES, (expected, actual), strict=True):
        con.register(f"{side}_given", table.select(expected.column_names))
        con.execute(f"CREATE TEMP VIEW {side} AS SELECT * FROM {side}_given")
    found = con.sql(_sql(con, keys, expected.column_names, limit)).to_arrow_table().to_pylist()
    return [_described(name, keys, row) for row in found]


def _sql(con: duckdb.DuckDBPyConnection, keys: Sequence[str], columns: Sequence[str], limit: int) -> str:
    """Rows of both sides beside each other, where one is missing or a value is distinct."""
    values = [c for c in columns if c not in keys]
    rank = "1" if all(_is_unique(con, side, keys) for side in _SIDES) else _rank(keys, columns)
    sides = ", ".join(f'{side}_rows AS (SELECT *, {rank} AS "#" FROM {side})' for side in _SIDES)
    matched = " AND ".join(f"e.{_quoted(c)} IS NOT DISTINCT FROM a.{_quoted(c)}" for c in [*keys, "#"])
    distinct = [f"e.{_quoted(c)} IS DISTINCT FROM a.{_quoted(c)}" for c in values]
    unequal = " OR ".join(['e."#" IS NULL', 'a."#" IS NULL', *distinct])
    keyed = ", ".join(f"coalesce(e.{_quoted(c)}, a.{_quoted(c)}) AS {_quoted(c)}" for c in keys)
    packed = ", ".join(f"{p}.{_quoted(c)} AS {_quoted(f'{p}.{c}')}" for p in "ea" for c in values)
    selected = ", ".join(filter(None, ['e."#" IS NULL AS "#extra"', 'a."#" IS NULL AS "#missing"', keyed, packed]))
    order = "".join(f", {_quoted(c)}" for c in keys)
    return f"""
    WITH {sides}
    SELECT {selected}, count(*) OVER () AS "#total"
    FROM expected_rows e FULL OUTER JOIN actual_rows a ON {matched}
    WHERE {unequal} ORDER BY "#extra", "#missing"{order} LIMIT {limit}
    """


def _rank(keys: Sequence[str], columns: Sequence[str]) -> str:
    by_key = f"PARTITION BY {', '.join(map(_quoted, keys))} " if keys else ""
    return f"row_number() OVER ({by_key}ORDER BY {', '.join(map(_quoted, columns))})"


def _is_unique(con: duckdb.DuckDBPyConnection, side: str, keys: Sequence[str]) -> bool:
    if not keys:
        return False
    listed = ", ".join(map(_quoted, keys))
    return not con.sql(f"SELECT 1 FROM {side} GROUP BY {listed} HAVING count(*) > 1 LIMIT 1").fetchall()


def _described(name: str, keys: Sequence[str], row: dict[str, Any]) -> Difference:
    kind = "extra" if row["#extra"] else "missing" if row["#missing"] else "changed"
    pairs = {c[2:]: (_plain(row[c]), _plain(row[f"a.{c[2:]}"])) for c in row if c.startswith("e.")}
    if kind == "changed":
        pairs = {c: pair for c, pair in pairs.items() if pair[0] != pair[1]}
    return {
        "table": name,
        "difference": kind,
        "key": {key: _plain(row[key]) for key in keys},
        "values": {c: dict(zip(_SIDES, pair, strict=True)) for c, pair in pairs.items()},
        "total": row["#total"],
    }


def _shape_differences(name: str, expected: pa.Table, actual: pa.Table) -> list[Difference]:
    if sorted(expected.column_names) != sorted(actual.column_names):
        names = {"expected": expected.column_names, "actual": actual.column_names}
        return [{"table": name, "difference": "columns", "values": names}]
    kinds = {c: tuple(_family(t.schema.field(c).type) for t in (expected, actual)) for c in expected.column_names}
    return [
        {"table": name, "difference": "types", "values": {column: dict(zip(_SIDES, pair, strict=True))}}
        for column, pair in kinds.items()
        if pair[0] != pair[1] and "null" not in "".join(pair)
    ]


def _family(kind: pa.DataType) -> str:
    """What a type means, whatever its width or layout in memory."""
    t = pa.types
    if t.is_integer(kind):
        return "integer"
    if t.is_timestamp(kind):
        return "instant"
    if t.is_string(kind) or t.is_large_string(kind) or t.is_string_view(kind):
        return "text"
    if t.is_list(kind) or t.is_large_list(kind) or t.is_list_view(kind):
        return f"list({_family(kind.value_type)})"
    if t.is_struct(kind):
        return f"struct({', '.join(f'{f.name} {_family(f.type)}' for f in kind)})"
    return str(kind)


def _plain(value: Any) -> Any:
    """The value as JSON can hold it."""
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_plain(part) for part in value]
    if isinstance(value, dt.datetime):
        return value.replace(tzinfo=None).isoformat()
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Decimal | dt.date):
        return str(value)
    return value


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
