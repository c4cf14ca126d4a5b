"""Laws of the stage that Spark's workers run for live, without Spark: it is a function over Arrow batches."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.algebra import connect
from spark_jobs.stages import RECEIVED, REJECTED, from_ipc, partials_stage
from spark_jobs.transforms.batches import RECORD
from tests.laws.reference import Part, Reference, differing
from tests.worlds import World, at_cut, cuts, dealt, records, unique, worlds

LAW = settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.too_slow])


def staged(world: World, tasks: list[pa.Table], counts_from: dict[int, int]) -> Part:
    """What the tasks of one micro-batch give, together; measures of which there is nothing are empty."""
    reference, con = Reference(world.rules), connect()
    parts = {name: [reference.algebra.empty(con, name)] for name in reference.algebra.measures}
    for task in tasks:
        for batch in partials_stage(world.rules, counts_from)(iter(task.select(RECORD.names).to_batches(3))):
            for name, payload in zip(batch["name"].to_pylist(), batch["payload"].to_pylist(), strict=True):
                if name not in (REJECTED, RECEIVED):
                    parts[name].append(from_ipc(payload))
    return {name: reference.algebra.combine(con, name, tables) for name, tables in parts.items()}


@LAW
@given(world=worlds(), data=st.data())
def test_what_lies_below_the_cut_warms_up_and_counts_for_nothing(world: World, data: st.DataObject) -> None:
    table = records(world)
    cut = data.draw(cuts(table), "cut")
    kept, _ = unique(table)
    tasks = data.draw(dealt(kept, 2), "tasks")
    assert differing(Reference(world.rules).part(at_cut(kept, cut)[1]), staged(world, tasks, cut)) == {}
