"""What a load makes of the rows that are held: SQL over `held` and `given`, and what may not be.

A snapshot says what its products are from a moment on; a history says all that its products ever were. Either way the
versions of a product never overlap, and two that touch differ: equal ones are one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import pyarrow as pa

from contracts.algebra import Connection, connect, naive, naming
from contracts.dimensions import ATTRIBUTES, PRODUCTS, Dimension
from contracts.errors import DimensionInvalid

_KEPT = ", ".join(PRODUCTS.schema.names)
_ATTRIBUTES = ", ".join(ATTRIBUTES)
_NOTHING_LOADED = "Correct the file and load it again; nothing was loaded."


def snapshot(held: pa.Table, given: pa.Table, at: datetime, *, is_complete: bool) -> pa.Table:
    """The versions after a snapshot as of `at`: from then on its products are as it says.

    Products it does not name stay as they are; where it is complete, they end at `at`.
    Raises `DimensionInvalid` where a product stands twice, or a version that is held begins or ends later than `at`.
    """
    touched = "true" if is_complete else "product_id IN (SELECT product_id FROM given)"
    stamp = f"TIMESTAMP '{naive_text(at)}'"
    changed = f"""
        SELECT product_id, {_ATTRIBUTES}, valid_from, coalesce(valid_to, {stamp}) AS valid_to
        FROM held WHERE {touched} AND valid_from < {stamp}
        UNION ALL SELECT product_id, {_ATTRIBUTES}, {stamp}, NULL FROM given
        UNION ALL SELECT {_KEPT} FROM held WHERE NOT ({touched})
    """
    with _over(held, given) as con:
        _refuse_twice(con, ("product_id",))
        later = f"SELECT * FROM held WHERE {touched} AND (valid_from > {stamp} OR valid_to > {stamp})"
        if found := _first(con, f"SELECT product_id, greatest(valid_from, valid_to) AS known FROM ({later})"):
            raise DimensionInvalid(
                f"Product {found['product_id']} has a change at {found['known']:%Y-%m-%dT%H:%M:%SZ}, after this "
                f"snapshot's time {at:%Y-%m-%dT%H:%M:%SZ}",
                "Give a later --valid-from; to rewrite the past, load a history, with valid_from and valid_to.",
            )
        return _coalesced(con, changed)


def history(held: pa.Table, given: pa.Table) -> pa.Table:
    """The versions after a history: what its products ever were. Raises `DimensionInvalid` where versions overlap."""
    overlapping = """
        SELECT product_id, valid_from FROM (
            SELECT *, lag(coalesce(valid_to, TIMESTAMP 'infinity')) OVER (
                PARTITION BY product_id ORDER BY valid_from, valid_to NULLS LAST) AS before
            FROM given
        ) WHERE before > valid_from
    """
    with _over(held, given) as con:
        if found := _first(con, overlapping):
            raise DimensionInvalid(
                f"Versions of product {found['product_id']} overlap at {found['valid_from']:%Y-%m-%dT%H:%M:%SZ}",
                "Let each version end where the next begins (valid_to is exclusive); nothing was loaded.",
            )
        kept = f"SELECT {_KEPT} FROM held WHERE product_id NOT IN (SELECT product_id FROM given)"
        return _coalesced(con, f"{kept} UNION ALL SELECT {_KEPT} FROM given")


def replaced(dimension: Dimension, held: pa.Table, given: pa.Table) -> pa.Table:
    """The rows of `given`, and those held whose key it does not name. Raises `DimensionInvalid` for a key twice."""
    same = " AND ".join(f"h.{c} IS NOT DISTINCT FROM g.{c}" for c in dimension.keys)
    with _over(held, given) as con:
        _refuse_twice(con, dimension.keys)
        rows = f"SELECT h.* FROM held h ANTI JOIN given g ON {same} UNION ALL SELECT * FROM given"
        return _table(con, f"SELECT * FROM ({rows}) ORDER BY {', '.join(dimension.keys)}", dimension)


def changed_keys(dimension: Dimension, before: pa.Table, after: pa.Table) -> int:
    """Of how many products (or keys) rows came or went."""
    key = "product_id" if dimension is PRODUCTS else ", ".join(dimension.keys)
    with _over(before, after) as con:
        moved = "(FROM held EXCEPT FROM given) UNION (FROM given EXCEPT FROM held)"
        ((count,),) = con.sql(f"SELECT count(*) FROM (SELECT DISTINCT {key} FROM ({moved}))").fetchall()
    return int(count)


def naive_text(at: datetime) -> str:
    """A UTC time as SQL's text."""
    return at.replace(tzinfo=None).isoformat(" ")


def _coalesced(con: Connection, versions: str) -> pa.Table:
    """The versions, those that touch and say the same made one."""
    told_apart = " OR ".join(f"{c} IS DISTINCT FROM lag({c}) OVER w" for c in ATTRIBUTES)
    return _table(
        con,
        f"""
        SELECT product_id, {_ATTRIBUTES}, min(valid_from) AS valid_from,
               nullif(max(coalesce(valid_to, TIMESTAMP 'infinity')), TIMESTAMP 'infinity') AS valid_to
        FROM (
            SELECT *, sum(opens) OVER (PARTITION BY product_id ORDER BY valid_from) AS island FROM (
                SELECT *, (lag(valid_to) OVER w IS DISTINCT FROM valid_from OR {told_apart})::INT AS opens
                FROM ({versions}) WINDOW w AS (PARTITION BY product_id ORDER BY valid_from)
            )
        ) GROUP BY product_id, {_ATTRIBUTES}, island ORDER BY product_id, valid_from
        """,
        PRODUCTS,
    )


def _refuse_twice(con: Connection, keys: tuple[str, ...]) -> None:
    named = ", ".join(keys)
    if found := _first(con, f"SELECT {named} FROM given GROUP BY {named} HAVING count(*) > 1"):
        what = ", ".join(f"{name} {value}" for name, value in found.items())
        raise DimensionInvalid(f"The file gives {what} twice", _NOTHING_LOADED)


def _first(con: Connection, sql: str) -> dict[str, Any] | None:
    rows: list[dict[str, Any]] = con.sql(f"SELECT * FROM ({sql}) ORDER BY ALL LIMIT 1").to_arrow_table().to_pylist()
    return rows[0] if rows else None


def _table(con: Connection, sql: str, dimension: Dimension) -> pa.Table:
    return (
        con.sql(sql).to_arrow_table().select(dimension.schema.names).cast(naive(dimension.schema.empty_table()).schema)
    )


@contextmanager
def _over(held: pa.Table, given: pa.Table) -> Iterator[Connection]:
    """A DuckDB in which the two tables have their names."""
    with connect() as con, naming(con, held=naive(held), given=naive(given)):
        yield con
