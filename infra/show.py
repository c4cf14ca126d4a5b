"""How the command line shows things: tables for people, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any

import pyarrow as pa
import typer
from rich.console import Console
from rich.table import Table

# Every command that answers takes it.
Json = Annotated[bool, typer.Option("--json", help="Answer as JSON.")]
out = Console()
err = Console(stderr=True)


def as_json(value: Any) -> None:
    """Print one JSON document on stdout."""
    sys.stdout.write(json.dumps(value, default=plain, ensure_ascii=False, indent=1) + "\n")


def plain(value: Any) -> Any:
    """JSON's form of what tables hold: times as ISO 8601 UTC, whole decimals as integers."""
    if isinstance(value, datetime):
        return value.replace(tzinfo=value.tzinfo or UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else str(value)
    if isinstance(value, bytes):
        return value.hex()
    return str(value)


def rows_table(rows: pa.Table, title: str = "", most: int = 50) -> Table:
    """An Arrow table as a table to look at, cut after `most` rows."""
    shown = Table(title=title or None, title_justify="left", header_style="bold")
    for name in rows.column_names:
        kind = rows.schema.field(name).type
        is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
        shown.add_column(name, justify="right" if is_number else "left")
    for row in rows.slice(0, most).to_pylist():
        shown.add_row(*[_cell(v) for v in row.values()])
    if rows.num_rows > most:
        shown.caption = f"{rows.num_rows - most:,} more rows"
    return shown


def pairs(title: str, values: Mapping[str, Any]) -> Table:
    """Names and values beside each other."""
    shown = Table(title=title, title_justify="left", show_header=False, box=None, padding=(0, 2))
    shown.add_column(style="dim")
    shown.add_column()
    for name, value in values.items():
        shown.add_row(name, _cell(value))
    return shown


def columns(title: str, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> Table:
    """A small table of given rows."""
    shown = Table(title=title, title_justify="left", header_style="bold")
    for name in header:
        shown.add_column(name, overflow="fold")
    for row in rows:
        shown.add_row(*[_cell(v) for v in row])
    return shown


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, Decimal):
        return f"{value:,}"
    return str(value)
