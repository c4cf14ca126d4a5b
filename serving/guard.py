"""What a stranger's SQL may be: one SELECT over the views. Judged by DuckDB's own syntax tree, by what is allowed.

The connection itself reaches no file, network or setting (`merge`). That does not suffice: in DuckDB 2 a CTE may
INSERT, table functions take raw pointers (`arrow_scan(0, 0, 0)` ends the process) or show settings and paths.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import duckdb
import msgspec

from contracts.errors import QueryRefused
from serving.views import WITHOUT_BOTS

_TABLE_FUNCTIONS: Final = frozenset({"unnest", "range", "generate_series", "json_each", "json_tree"})
_SCHEMAS: Final = frozenset({(), ("main",), (WITHOUT_BOTS,), ("memory", "main"), ("memory", WITHOUT_BOTS)})
_NODES: Final = frozenset({"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"})
_SHOWN: Final = frozenset({"DESCRIBE", "SUMMARY"})
# They show what is not data, change state, or wait.
_FUNCTIONS: Final = frozenset(
    {
        "current_setting",
        "currval",
        "getenv",
        "getvariable",
        "nextval",
        "pg_sleep",
        "sleep_ms",
        "write_log",
    }
)
_REMEDY: Final = "Write one SELECT statement over the views; `tidemark query --views` lists them."
_SERIALIZE: Final = "SELECT json_serialize_sql(?::VARCHAR, skip_null := true, skip_empty := true, skip_default := true)"
_REMEMBERED: Final = 1000


class Guard:
    """Knows the relations of one database, and the queries it has let pass."""

    def __init__(self, con: duckdb.DuckDBPyConnection) -> None:
        own = "SELECT table_name FROM duckdb_tables() UNION ALL SELECT view_name FROM duckdb_views() WHERE NOT internal"
        self._relations = _names(con, own)
        self._internal = _names(con, "SELECT view_name FROM duckdb_views() WHERE internal")
        self._passed: dict[str, None] = {}

    def check(self, con: duckdb.DuckDBPyConnection, query: str) -> None:
        """Raise `QueryRefused` unless the text is one SELECT that reads nothing but relations of this database."""
        if query in self._passed:
            return
        tree = _parse(con, query)
        parts = list(_parts(tree))
        defined = {entry["key"].lower() for part in parts for entry in part.get("cte_map", {}).get("map", [])}
        if taken := defined & self._internal:
            raise _refused(f"A WITH clause may not be named {', '.join(sorted(taken))}")
        for part in parts:
            self._check_part(part, defined)
        while len(self._passed) >= _REMEMBERED:
            self._passed.pop(next(iter(self._passed)), None)
        self._passed[query] = None

    def _check_part(self, part: dict[str, Any], defined: set[str]) -> None:
        kind = part.get("type")
        if not isinstance(kind, str):
            return
        if kind.endswith("_NODE") and kind not in _NODES:
            raise _refused("A query may not write")
        if kind == "TABLE_FUNCTION" and _called(part["function"]) not in _TABLE_FUNCTIONS:
            raise _refused(f"The table function {_called(part['function'])} is not allowed")
        if kind == "FUNCTION" and _called(part) in _FUNCTIONS:
            raise _refused(f"The function {_called(part)} is not allowed")
        if kind == "SHOW_REF" and (part.get("show_type") not in _SHOWN or "query" not in part):
            raise _refused("SHOW is not allowed")
        if kind == "BASE_TABLE":
            self._check_table(part["qualified_name"]["path"], defined)

    def _check_table(self, path: list[str], defined: set[str]) -> None:
        *schema, name = (step.lower() for step in path)
        is_own = name in self._relations and tuple(schema) in _SCHEMAS
        if not is_own and (schema or name not in defined):
            raise _refused(f"There is no view {'.'.join(path)}")


def _names(con: duckdb.DuckDBPyConnection, query: str) -> frozenset[str]:
    return frozenset(name.lower() for (name,) in con.sql(query).fetchall())


def _parse(con: duckdb.DuckDBPyConnection, query: str) -> dict[str, Any]:
    try:
        kinds = [statement.type for statement in con.extract_statements(query)]
        if kinds != [duckdb.StatementType.SELECT]:
            raise _refused("Only one SELECT statement is answered")
        ((text,),) = con.execute(_SERIALIZE, [query]).fetchall()
        tree: dict[str, Any] = msgspec.json.decode(text)
    except duckdb.Error as error:
        raise _refused(str(error)) from error
    except RecursionError as error:
        raise _refused("The query is nested too deeply") from error
    if tree["error"]:
        raise _refused(tree.get("error_message", "The statement cannot be read"))
    return tree


def _parts(tree: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every object in the tree."""
    todo: list[Any] = [tree]
    while todo:
        part = todo.pop()
        if isinstance(part, dict):
            yield part
            todo.extend(part.values())
        elif isinstance(part, list):
            todo.extend(part)


def _called(function: dict[str, Any]) -> str:
    return str(function.get("function_name", "")).lower()


def _refused(message: str) -> QueryRefused:
    return QueryRefused(message, _REMEDY)
