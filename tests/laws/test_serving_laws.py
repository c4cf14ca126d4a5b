"""Laws of the merged read path: serving's incremental merge is the merged answer of the design (no Spark).

Gold is written to Delta as a run would, partials arrive batch by batch; after each, every table is compared.
An example is eight worlds.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import pyarrow as pa
from deltalake import write_deltalake
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from contracts.algebra import instants
from contracts.settings import Settings
from serving.cut import AsOf, Snapshot
from serving.merge import Merge
from speed_layer.store import Block, DimensionVersion
from speed_layer.store.payload import encode
from speed_layer.store.runs import Manifest, RunCut
from tests.laws.reference import Answer, Part, Reference, differing
from tests.worlds import World, at_cut, cuts, dealt, records, unique, worlds

LAW = settings(
    deadline=None,
    max_examples=5,
    phases=set(Phase) - {Phase.explain},
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)


class Served:
    """Serving over a published run and the blocks that follow it."""

    def __init__(self, home: Path, rules: Settings) -> None:
        self.settings = Settings(home=home, **{name: getattr(rules, name) for name in rules.rules})
        self.merge = Merge(self.settings, threads=1)
        self.batch = -1
        self.dimensions: dict[str, DimensionVersion] = {}

    def publish(self, gold: Answer, cut: dict[int, int]) -> None:
        for name, table in gold.items():
            write_deltalake(self.settings.table_path(f"gold.{name}"), instants(table), mode="overwrite")
        run = RunCut("r", 1, "topic-a", cut, 1, 0, self.batch, "h1", 0, "2024-03-01T00:00:00+00:00")
        tables = {f"gold.{name}": 0 for name in gold}
        self._apply(Manifest(run, tables, True, run.sealed_at), [])

    def arrive(self, part: Part) -> None:
        self.batch += 1
        blocks = [
            Block(1, 1, name, 0, self.batch, self.batch, table.num_rows, encode(table))
            for name, table in part.items()
            if table.num_rows
        ]
        self._apply(None, blocks)

    def answer(self) -> dict[str, pa.Table]:
        names = (*self.merge.algebra.measures, *self.merge.algebra.derived)
        return {name: self.merge.con.cursor().sql(self.merge.merged(name)).to_arrow_table() for name in names}

    def _apply(self, manifest: Manifest | None, blocks: list[Block]) -> None:
        nothing: dict[str, Any] = {"batch_through": None, "live_through": None, "semantics_hash": "h1"}
        as_of = AsOf("r", 1, self.batch, 1, {}, {}, **nothing, dimensions=self.dimensions)
        self.merge.apply(Snapshot(as_of, manifest, blocks, is_fresh=manifest is not None))


S = TypeVar("S", bound=Served)


@contextmanager
def served(world: World, kind: type[S]) -> Iterator[S]:
    with TemporaryDirectory() as home:
        serving = kind(Path(home), world.settings)
        yield serving
        serving.merge.con.close()


@LAW
@given(world=worlds(), data=st.data())
def test_serving_merges_as_the_design_words_it(world: World, data: st.DataObject) -> None:
    reference, table = Reference(world.rules), records(world)
    cut = data.draw(cuts(table), "cut")
    kept, copies = (at_cut(part, cut)[1] for part in unique(table))
    gold = reference.batch(at_cut(table, cut)[0])
    first, second = (reference.part(hand) for hand in data.draw(dealt(kept, 2), "batches"))
    second = reference.combine([second, reference.part(kept.slice(0, 0), copies)])
    with served(world, Served) as serving:
        serving.publish(gold, cut)
        serving.arrive(first)
        assert differing(reference.merged(gold, first), serving.answer()) == {}
        serving.arrive(second)
        assert differing(reference.batch(table), serving.answer()) == {}
