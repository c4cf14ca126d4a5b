"""Rows of a CSV, JSON Lines or Parquet file as texts: numbers stay as they were written, never floats."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, TextIO

import pyarrow as pa
import pyarrow.parquet as pq

from contracts.errors import DimensionInvalid

_FORMATS: Final = {
    **dict.fromkeys((".csv", ".tsv", ".txt"), "csv"),
    **dict.fromkeys((".jsonl", ".ndjson", ".json"), "jsonl"),
    **dict.fromkeys((".parquet", ".pq"), "parquet"),
}
_DELIMITERS: Final = ",;\t"
_SAVE_AS_UTF8: Final = "Save it as UTF-8."

Texts = Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class Given:
    """A file's columns and rows; each row with its place, as `prices.csv line 7`."""

    name: str
    columns: frozenset[str]
    rows: Iterator[tuple[str, Texts]]


def read(path: Path, known: frozenset[str]) -> Given:
    """The file, opened; only `known` columns are read. Raises `DimensionInvalid`, also while rows are taken."""
    kind = _FORMATS.get(path.suffix.lower())
    if kind is None:
        raise DimensionInvalid(
            f"{path.name} is neither CSV, JSON Lines nor Parquet", "Name it .csv, .jsonl or .parquet."
        )
    if not path.is_file():
        raise DimensionInvalid(f"There is no file {path}", "Check the path.")
    return {"csv": _csv, "jsonl": _json_lines, "parquet": _parquet}[kind](path, known)


def _csv(path: Path, known: frozenset[str]) -> Given:
    lines = _lines(path)
    first = next(lines, None)
    if first is None or not first.strip():
        raise DimensionInvalid(f"{path.name} has no header line", "Begin it with the names of its columns.")
    delimiter = max(_DELIMITERS, key=first.count)
    reader = csv.reader(_chained(first, lines), delimiter=delimiter, strict=True)
    header = [name.strip().lower() for name in _next(reader, path) or []]
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise DimensionInvalid(f"{path.name} names the columns {', '.join(twice)} twice", "Give each one name.")

    def rows() -> Iterator[tuple[str, Texts]]:
        while (row := _next(reader, path)) is not None:
            if not row:
                continue
            place = f"{path.name} line {reader.line_num}"
            if len(row) != len(header):
                raise DimensionInvalid(
                    f"{place} has {len(row)} fields, the header {len(header)}",
                    "Quote fields that hold the delimiter; every row needs every field.",
                )
            yield place, {name: value for name, value in zip(header, row, strict=True) if name in known}

    return Given(path.name, frozenset(header), rows())


def _next(reader: Iterator[list[str]], path: Path) -> list[str] | None:
    try:
        return next(reader, None)
    except csv.Error as error:
        line = getattr(reader, "line_num", 0)
        raise DimensionInvalid(f"{path.name} line {line} is not CSV: {error}", "Check its quotes.") from error


def _chained(first: str, rest: Iterator[str]) -> Iterator[str]:
    yield first
    yield from rest


def _json_lines(path: Path, known: frozenset[str]) -> Given:
    # Read twice: what one object leaves out another may have, and all of them at once may be more than memory.
    columns: set[str] = set()
    for _, row in _objects(path):
        columns.update(row)

    def rows() -> Iterator[tuple[str, Texts]]:
        for place, row in _objects(path):
            yield place, {name: _text(place, name, value) for name, value in row.items() if name in known}

    return Given(path.name, frozenset(columns), rows())


def _objects(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip():
            continue
        place = f"{path.name} line {number}"
        try:
            row = json.loads(line, parse_float=str, parse_int=str, parse_constant=_no_constant)
        except (ValueError, RecursionError) as error:
            raise DimensionInvalid(f"{place} is not JSON: {error}", "Write one JSON object a line.") from error
        if not isinstance(row, dict):
            raise DimensionInvalid(f"{place} is no JSON object", "Write one JSON object a line.")
        yield place, row


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def _parquet(path: Path, known: frozenset[str]) -> Given:
    try:
        file = pq.ParquetFile(path)
        columns = file.schema_arrow.names
    except (pa.ArrowException, OSError) as error:
        raise DimensionInvalid(f"{path.name} is not Parquet: {str(error).splitlines()[0]}", "Write it anew.") from error
    wanted = [name for name in columns if name in known]

    def rows() -> Iterator[tuple[str, Texts]]:
        for place, row in _parquet_rows(file, path, wanted):
            yield place, {name: _text(place, name, value) for name, value in row.items()}

    return Given(path.name, frozenset(columns), rows())


def _parquet_rows(file: pq.ParquetFile, path: Path, wanted: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    number = 0
    try:
        for batch in file.iter_batches(columns=list(wanted)):
            for row in batch.to_pylist():
                number += 1
                yield f"{path.name} row {number}", row
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DimensionInvalid(f"{path.name} is damaged: {str(error).splitlines()[0]}", "Write it anew.") from error


def _text(place: str, name: str, value: Any) -> str | None:
    """The value as it would be written in CSV."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    kind = "a float, which is not exact" if isinstance(value, float) else f"of the type {type(value).__name__}"
    raise DimensionInvalid(f"{place}: {name} is {kind}", f"Write {name} as text, or a number as a decimal.")


def _lines(path: Path) -> Iterator[str]:
    number = 0
    try:
        with _opened(path) as file:
            for line in file:
                number += 1
                yield line
    except UnicodeDecodeError as error:
        raise DimensionInvalid(f"{path.name} is not UTF-8, at about line {number + 1}", _SAVE_AS_UTF8) from error
    except OSError as error:
        raise DimensionInvalid(f"{path} cannot be read: {error.strerror}", "Check its permissions.") from error


def _opened(path: Path) -> TextIO:
    return path.open(encoding="utf-8-sig", newline="")
