"""From the parameters of `GET /v1/query/<view>` to SQL. Names are checked against the view, values are bound."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from serving.api.catalog import Column, Described
from serving.api.problems import Problem
from serving.views import WITHOUT_BOTS

DEFAULT_LIMIT: Final = 1000
LARGEST_LIMIT: Final = 10_000
_WORDS: Final = ("from", "to", "columns", "order_by", "limit", "group_by", "bots")
_TRUTH: Final = {"true": True, "false": False}
_WHOLE: Final = re.compile(r"-?[0-9]{1,19}")
_BITS: Final = {"BIGINT": 63, "INTEGER": 31}

Pairs = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Query:
    """A statement, what is bound to it, and how many rows its caller asked for."""

    sql: str
    parameters: list[Any]
    limit: int


def build(view: Described, given: Pairs) -> Query:
    """The query of these parameters. Raises `Problem` for a name, value or sum that cannot be."""
    words = {name: value for name, value in given if name in _WORDS}
    where, parameters = _filters(view, given)
    limit = _limit(words.get("limit"))
    wanted = _names(view, words.get("columns")) or list(view.columns)
    if by := _names(view, words.get("group_by")):
        keys, sums = _sums(view, by, wanted, is_chosen=bool(words.get("columns")))
        shown, added = [*keys, *sums], [f'sum("{c}") AS "{c}"' for c in sums]
        select = ", ".join([*map(_quoted, keys), *added])
        tail = f" GROUP BY {', '.join(map(_quoted, keys))}"
        first, ties = keys, keys
    else:
        shown, select, tail = wanted, ", ".join(map(_quoted, wanted)), ""
        first, ties = [c for c in [view.view.time] if c], [c for c in shown if view.columns[c].is_plain]
    order = _order(view, words.get("order_by"), shown if tail else list(view.columns), first, ties)
    # One row more than asked for says whether there are more.
    schema = "main" if _counts_bots(words.get("bots")) else WITHOUT_BOTS
    sql = f"SELECT {select} FROM {schema}.{view.view.name}{where}{tail}{order} LIMIT {limit + 1}"
    return Query(sql, parameters, limit)


def _filters(view: Described, given: Pairs) -> tuple[str, list[Any]]:
    clauses: list[str] = []
    parameters: list[Any] = []
    for name, operator in (("from", ">="), ("to", "<")):
        for text in [value for key, value in given if key == name]:
            clauses.append(f"{_quoted(_time_column(view))} {operator} ?")
            parameters.append(_moment(name, text))
    for name in dict.fromkeys(key for key, _ in given if key not in _WORDS):
        column = _plain(view, name)
        texts = [value for key, value in given if key == name]
        values = [_value(column, text) for text in texts if text]
        any_of = [f"{_quoted(name)} IN ({', '.join('?' * len(values))})"] if values else []
        clauses.append(f"({' OR '.join(any_of + [f'{_quoted(name)} IS NULL'] * ('' in texts))})")
        parameters += values
    return (f" WHERE {' AND '.join(clauses)}" if clauses else ""), parameters


def _sums(view: Described, by: list[str], wanted: list[str], *, is_chosen: bool) -> tuple[list[str], list[str]]:
    """The columns to group by and those to sum. Raises `Problem` where a sum would mean nothing."""
    for name in by:
        _plain(view, name)
    asked = [view.columns[c] for c in wanted if c not in by]
    summable = [c.name for c in view.columns.values() if c.is_summable and c.name not in by]
    held = [c for c in (*view.kept_apart, *view.money_by) if c not in by]
    refused = [c.name for c in asked if not c.is_summable and c.name not in held and (is_chosen or c.is_number)]
    if refused:
        remedy = f"Name the columns to sum, as in columns={','.join(summable)}." if summable else "Leave out group_by."
        detail = f"{', '.join(refused)} of {view.view.name} must not be summed"
        raise Problem(400, "not-summable", detail, remedy, columns=summable)
    sums = [c.name for c in asked if c.is_summable]
    is_money = any(c.endswith("_minor") for c in sums)
    keys = [*by, *(c for c in view.kept_apart if c in held), *(c for c in view.money_by if c in held and is_money)]
    return keys, sums


def _order(view: Described, text: str | None, shown: list[str], first: list[str], ties: list[str]) -> str:
    """Every order ends in the columns that break ties: equal questions get equal answers, whatever the limit."""
    terms: dict[str, str] = {}
    for part in (text or ",".join(first)).split(",") if text or first else []:
        name = part.strip().removeprefix("-")
        _plain(view, name)
        if name not in shown:
            raise _unknown_column(view, name, shown)
        terms.setdefault(name, f"{_quoted(name)}{' DESC' if part.strip().startswith('-') else ''} NULLS LAST")
    for name in ties:
        terms.setdefault(name, f"{_quoted(name)} NULLS LAST")
    return f" ORDER BY {', '.join(terms.values())}" if terms else ""


def _names(view: Described, text: str | None) -> list[str]:
    names = list(dict.fromkeys(part.strip() for part in text.split(","))) if text else []
    for name in names:
        if name not in view.columns:
            raise _unknown_column(view, name, list(view.columns))
    return names


def _plain(view: Described, name: str) -> Column:
    column = view.columns.get(name)
    if column is None:
        raise _unknown_column(view, name, list(view.columns))
    if not column.is_plain:
        detail = f"{name} of {view.view.name} is a {column.type}: it cannot be filtered, sorted or grouped by"
        raise Problem(400, "bad-value", detail, "Use another column, or ask with POST /v1/sql.")
    return column


def _unknown_column(view: Described, name: str, columns: list[str]) -> Problem:
    detail = f"{view.view.name} has no column {name[:100]!r} here"
    remedy = f"Use {', '.join(_WORDS)}, or one of its columns: {', '.join(columns)}."
    return Problem(400, "unknown-column", detail, remedy, columns=columns)


def _time_column(view: Described) -> str:
    if view.view.time is None:
        raise Problem(400, "bad-value", f"{view.view.name} has no time column", "Leave out from and to.")
    return view.view.time


def _counts_bots(text: str | None) -> bool:
    """Whether what declared robots did is part of the answer; it is unless told."""
    if text not in (None, "with", "without"):
        raise Problem(400, "bad-value", f"bots is {text[:100]!r}", "Use with or without.")
    return text != "without"


def _limit(text: str | None) -> int:
    if text is None:
        return DEFAULT_LIMIT
    number = int(text) if _WHOLE.fullmatch(text) else -1
    if not 0 <= number <= LARGEST_LIMIT:
        remedy = f"Use a whole number from 0 to {LARGEST_LIMIT}; ask for more in parts, by from and to."
        raise Problem(400, "bad-limit", f"limit is {text[:100]!r}", remedy)
    return number


def _value(column: Column, text: str) -> Any:
    convert = _CONVERT.get(column.type)
    return convert(column.name, text) if convert else text


def _integer(bits: int) -> Callable[[str, str], int]:
    def convert(name: str, text: str) -> int:
        if not _WHOLE.fullmatch(text) or not -(1 << bits) <= int(text) < 1 << bits:
            raise _bad_value(name, text, f"a whole number of {bits + 1} bits")
        return int(text)

    return convert


def _boolean(name: str, text: str) -> bool:
    if text.lower() not in _TRUTH:
        raise _bad_value(name, text, "true or false")
    return _TRUTH[text.lower()]


def _moment(name: str, text: str) -> datetime:
    """A naive UTC time, the form inside the algebra."""
    try:
        moment = datetime.fromisoformat(text)
        return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError) as error:
        raise _bad_value(name, text, "an ISO 8601 time such as 2024-05-01T12:00:00Z (a + is written %2B)") from error


def _bad_value(name: str, text: str, wanted: str) -> Problem:
    return Problem(400, "bad-value", f"{name} is {text[:100]!r}", f"Use {wanted}.")


def _quoted(name: str) -> str:
    return f'"{name}"'


_CONVERT: Final[dict[str, Callable[[str, str], Any]]] = {
    **{kind: _integer(bits) for kind, bits in _BITS.items()},
    "BOOLEAN": _boolean,
    "TIMESTAMP": _moment,
}
