"""The merged answer as the design words it, in a few lines: what serving does faster must come out the same.

A *part* is every measure's partials of some records. An *answer* is every table by name: measures and derived ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from contracts.algebra import QUALITY_SCHEMA, Algebra, connect, naive
from contracts.measures import QUALITY
from spark_jobs.transforms.batches import RECORD, outcome
from tests.worlds import unique

Part: TypeAlias = dict[str, pa.Table]
Answer: TypeAlias = dict[str, pa.Table]
CON = connect()


class Reference:
    """The algebra of one set of rules, applied to records."""

    def __init__(self, rules: Mapping[str, str]) -> None:
        self.rules, self.algebra = rules, Algebra.of(rules)

    def part(self, records: pa.Table, copies: pa.Table | None = None) -> Part:
        """The partials of records that are no copies; `copies` are only counted."""
        found = outcome(records.select(RECORD.names), self.rules)
        counted = [found.quality, _duplicates(copies)] if copies is not None else [found.quality]
        return {**self.algebra.partials(CON, found.events), QUALITY.name: self._combine(QUALITY.name, counted)}

    def batch(self, records: pa.Table) -> Answer:
        """What a run builds of these records: gold."""
        measures = self.part(*unique(records))
        return measures | {name: self._derive(name, measures[d.source]) for name, d in self.algebra.derived.items()}

    def combine(self, parts: Sequence[Part]) -> Part:
        """One part of several."""
        return {name: self._combine(name, [part[name] for part in parts]) for name in self.algebra.measures}

    def merged(self, gold: Answer, speed: Part) -> Answer:
        """gold + speed; for derived tables gold - derive(touched) + derive(combine(touched + speed))."""
        answer = self.combine([gold, speed])
        for name, table in self.algebra.derived.items():
            base, new = gold[table.source], speed[table.source]
            entity = str(self.algebra.measures[table.source].entity)
            touched = base.filter(pc.is_in(base[entity], new[entity].combine_chunks()))
            after = self._combine(table.source, [touched, new])
            answer[name] = patched(gold[name], self._derive(name, touched), self._derive(name, after), table.keys)
        return answer

    def _combine(self, measure: str, parts: Sequence[pa.Table]) -> pa.Table:
        return self.algebra.combine(CON, measure, parts)

    def _derive(self, name: str, entities: pa.Table) -> pa.Table:
        return self.algebra.derive(CON, name, entities)


def patched(gold: pa.Table, minus: pa.Table, plus: pa.Table, keys: Sequence[str]) -> pa.Table:
    """gold - minus + plus, by key; a row of which nothing is left is gone."""
    sums: dict[tuple[object, ...], list[int]] = {}
    values = [name for name in gold.column_names if name not in keys]
    for sign, table in ((1, gold), (-1, minus), (1, plus)):
        for row in table.to_pylist():
            held = sums.setdefault(tuple(row[k] for k in keys), [0] * len(values))
            held[:] = [a + sign * row[v] for a, v in zip(held, values, strict=True)]
    rows = [dict(zip([*keys, *values], [*key, *held], strict=True)) for key, held in sums.items() if any(held)]
    return pa.Table.from_pylist(rows, gold.schema)


def differing(expected: Mapping[str, pa.Table], actual: Mapping[str, pa.Table]) -> dict[str, object]:
    """Tables that are not the same bit for bit, whatever the order of rows; empty where all are."""
    found: dict[str, object] = {}
    for name in expected.keys() | actual.keys():
        if name not in expected or name not in actual:
            found[name] = "is not on both sides"
        elif not same(expected[name], actual[name]):
            left, right = content(expected[name]), content(actual[name])
            found[name] = {
                "expected": [row for row in left if row not in right],
                "actual": [row for row in right if row not in left],
                "types": [str(t.schema.types) for t in (naive(expected[name]), naive(actual[name]))],
            }
    return found


def same(a: pa.Table, b: pa.Table) -> bool:
    """Whether two tables have the same columns, types and rows, in any order of rows."""
    return bool(naive(a).schema.equals(naive(b).schema)) and content(a) == content(b)


def content(table: pa.Table) -> list[str]:
    """The rows as texts, in order."""
    return sorted(map(repr, naive(table).to_pylist()))


def _duplicates(copies: pa.Table) -> pa.Table:
    rows = [
        {"log": log, "partition": partition, "status": "duplicate", "reason": "", "rows": 1}
        for log, partition in zip(copies["log"].to_pylist(), copies["partition"].to_pylist(), strict=True)
    ]
    return pa.Table.from_pylist(rows, QUALITY_SCHEMA)
