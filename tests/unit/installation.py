"""A small real installation without Kafka or Spark: a SQLite store, gold tables in Delta, and what must come out.

Events are made directly, in the shape the transforms give them; batches go through `record_batch`, gold is what the
algebra says of every event below the cut. The expected answer is the algebra over all events in one go.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

from contracts.algebra import QUALITY_SCHEMA, Algebra, connect, instants
from contracts.fields import EVENT
from contracts.measures import QUALITY
from contracts.semantics import semantics_hash
from contracts.settings import Settings
from speed_layer.store import FoldReport, Store, open_store
from speed_layer.store.runs import Manifest, RunCut, Runs

START: Final = datetime(2024, 5, 1, 22, 0, tzinfo=UTC)
PARTITIONS: Final = 2
HORIZON_SECONDS: Final = 10 * 86_400
_KINDS: Final = ("view", "view", "view", "page", "cart", "search", "purchase", "refund", "checkout", "custom")


def event(number: int, at: datetime, visitor: str = "v1", kind: str = "view", **more: Any) -> dict[str, Any]:
    """One good event; `number` makes its id and its offset."""
    place = {"log": 1, "partition": sum(visitor.encode()) % PARTITIONS, "offset": number}
    names = {"event_id": f"e{number}", "fingerprint": f"{number:032x}", "visitor": visitor, "type": "track"}
    what = {"kind": kind, "name": kind, "ref": more.get("product_id"), "currency": "USD", "lines": []}
    return {**place, **names, **what, "event_time": at, "broker_time": at, "received_at": at, **more}


def shop(seed: int, count: int, visitors: int = 12) -> list[dict[str, Any]]:
    """Random events: late ones, long sessions, orders named twice, two currencies, products without a name."""
    rng = random.Random(seed)
    made: list[dict[str, Any]] = []
    for number in range(count):
        at = START + timedelta(seconds=rng.choice((1, 20, 300)) * number - rng.choice((0, 0, 0, 1799, 1801, 7200)))
        kind, product = rng.choice(_KINDS), rng.choice(("p1", "p2", "p3", None))
        more: dict[str, Any] = {"product_id": product, "brand": rng.choice(("b1", None))}
        more |= {"is_declared_bot": rng.random() < 0.1, "device_class": rng.choice(("mobile", None))}
        more |= {"channel": rng.choice(("Direct", "Email", None)), "country": rng.choice(("DE", None))}
        more["currency"] = rng.choice(("USD", "USD", "EUR"))
        if kind == "purchase":
            line = {"product_id": product or "p9", "category": "c", "brand": "b1", "price_minor": 999, "quantity": 2}
            more |= {"order_id": rng.choice((f"o{number}", f"o{number // 20}", None)), "lines": [line]}
        if kind in ("purchase", "refund"):
            more["value_minor"] = rng.randrange(1, 10**9)
        made.append(event(number, at, f"v{rng.randrange(visitors)}", kind, **more))
    return made


class Installation:
    """A store in which generation 1 runs, a warehouse, and every event that was recorded."""

    def __init__(self, home: Path, store_url: str = "") -> None:
        self.settings = Settings(home=home, store_url=store_url, kafka="127.0.0.1:1")
        self.rules = semantics_hash(self.settings.rules)
        self.algebra, self._con = Algebra.of(self.settings.rules), connect()
        self.store: Store = open_store(self.settings.store)
        self.events: list[dict[str, Any]] = []
        self._sealed = 0
        self._batch, self.ends = 0, dict.fromkeys(range(PARTITIONS), 0)
        self.clock_ms = int(START.timestamp() * 1000)
        with self.store.write() as writer:
            self.log = writer.register_log("events", "topic-a", START).number
            writer.create_generation(self.log, {}, self.rules, None, "active", START, "first start")

    def close(self) -> None:
        self.store.close()

    def record(self, events: Iterable[dict[str, Any]], after_seconds: float = 1) -> None:
        """One micro-batch, a second after the one before."""
        new = list(events)
        self.events += new
        partials = self.algebra.partials(self._con, table_of(new)) | {QUALITY.name: counted(new)}
        before = dict(self.ends)
        for e in new:
            self.ends[e["partition"]] += 1
        self.clock_ms += int(after_seconds * 1000)
        with self.store.write() as writer:
            ends = (before, self.ends)
            writer.record_batch(
                1, self._batch, *ends, self.clock_ms, self.rules, partials, horizon_seconds=HORIZON_SECONDS
            )
        self._batch += 1

    def fold(self) -> FoldReport:
        """Fold every recorded batch."""
        return self.store.fold(1, self._combine, self.clock_ms, keep_seconds=0)

    def seal(self, run_id: str) -> None:
        """Draw the line; what is recorded from now on lies behind it."""
        with self.store.write() as writer:
            writer.seal(run_id, 1, self._combine, self.now)
        self._sealed = len(self.events)

    def publish(self, run_id: str, semantics: str | None = None) -> Manifest:
        """Build gold of what the last seal closed, and point at it."""
        with self.store.read() as reader:
            cut = reader.cut(run_id)
        assert cut is not None
        place = (dict(cut.offsets), 1, cut.segment, cut.batch, semantics or self.rules, 0, self.now.isoformat())
        tables = self.tables(self.events[: self._sealed])
        versions = {f"gold.{name}": self._write(name, table) for name, table in tables.items()}
        manifest = Manifest(RunCut(run_id, self.log, "topic-a", *place), versions, True, self.now.isoformat())
        path = Runs(self.settings).write_manifest(manifest)
        with self.store.write() as writer:
            writer.publish(run_id, path, self.now, semantics_hash=self.rules)
        return manifest

    @property
    def now(self) -> datetime:
        return datetime.fromtimestamp(self.clock_ms / 1000, UTC)

    def tables(self, events: list[dict[str, Any]]) -> dict[str, pa.Table]:
        """What the algebra says of these events: every measure and every derived table."""
        found = self.algebra.partials(self._con, table_of(events)) | {QUALITY.name: counted(events)}
        for d in self.algebra.derived.values():
            found[d.name] = self.algebra.derive(self._con, d.name, found[d.source])
        return found

    def differences(self, got: dict[str, pa.Table]) -> list[tuple[str, list[str], list[str]]]:
        """Where these tables differ from the algebra over all events, in rows; empty means exact."""
        found = []
        for name, expected in self.tables(self.events).items():
            wanted, there = lines(expected), lines(got[name].select(expected.column_names))
            if wanted != there:
                found.append((name, [w for w in wanted if w not in there], [w for w in there if w not in wanted]))
        return found

    def _combine(self, measure: str, parts: list[pa.Table]) -> pa.Table:
        return self.algebra.combine(self._con, measure, parts)

    def _write(self, name: str, table: pa.Table) -> int:
        path = self.settings.table_path(f"gold.{name}")
        write_deltalake(path, instants(table), mode="overwrite")
        return DeltaTable(path).version()


def lines(table: pa.Table) -> list[str]:
    """The rows, in an order of their own."""
    return sorted(map(repr, table.to_pylist()))


def table_of(events: list[dict[str, Any]]) -> pa.Table:
    """The events as the algebra takes them."""
    return pa.Table.from_pylist(
        [{"is_declared_bot": False} | {name: e.get(name) for name in EVENT.names if name in e} for e in events], EVENT
    )


def counted(events: list[dict[str, Any]]) -> pa.Table:
    """The quality rows of good events."""
    rows: dict[int, int] = {}
    for e in events:
        rows[e["partition"]] = rows.get(e["partition"], 0) + 1
    fixed = {"log": 1, "status": "good", "reason": ""}
    return pa.Table.from_pylist([{**fixed, "partition": p, "rows": n} for p, n in rows.items()], QUALITY_SCHEMA)
