"""Stream = batch = oracle, through real Spark, Delta and the store: what the laws say of the algebra holds of the jobs.

One large random world a session (`--hypothesis-seed` repeats it): bronze and live read it at paces of their own, two
runs are built while it goes on.
"""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from pyspark.sql import SparkSession

from serving.oracle.oracle import Oracle
from spark_jobs import delta_io
from spark_jobs.jobs.silver import EVENTS
from speed_layer.store.runs import RunCut, Runs
from tests.laws.reference import Answer, Reference, differing
from tests.parity.installation import Installation, stops
from tests.worlds import World, at_cut, records, worlds

# Two whole nights of builds: on a busy machine they take longer than a test may.
pytestmark = [pytest.mark.spark, pytest.mark.timeout(900)]
SHOPS = 40


def any_world() -> World:
    """The last of three: hypothesis begins with the emptiest."""
    drawn: list[World] = []

    @settings(max_examples=3, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(worlds(14, SHOPS))
    def draw(world: World) -> None:
        drawn.append(world)

    draw()
    return drawn[-1]


class Nights:
    """A world lived through: five micro-batches, run r1 after the second, run r2 after the fourth."""

    def __init__(self, spark: SparkSession, world: World) -> None:
        self.world, self.table = world, records(world)
        self.reference = Reference(world.rules)
        self.whole = self.reference.batch(self.table)
        self.site = Installation(spark, world.settings, self.table)
        first, second, third, fourth, last = stops(self.site.ends, (0.2, 0.45, 0.6, 0.8))
        self.site.run_live(first)
        self.site.arrive(stops(self.site.ends, (0.3,))[0])
        self.site.run_live(second)
        self.site.arrive(third)
        self.cuts: dict[str, RunCut] = {"r1": self.site.nightly("r1")}
        self.site.run_live(third)
        self.site.fold()
        self.site.run_live(fourth)
        self.site.arrive(last)
        self.cuts["r2"] = self.site.nightly("r2")
        self.site.run_live(last)
        self.gold: dict[str, Answer] = {run_id: self.site.gold(run_id) for run_id in self.cuts}


@pytest.fixture(scope="module")
def nights(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Nights:
    world = any_world()
    home = tmp_path_factory.mktemp("home")
    return Nights(spark, replace(world, settings=replace(world.settings, home=home)))


RUNS = pytest.mark.parametrize("run_id", ["r1", "r2"])


@RUNS
def test_gold_is_the_algebra_of_what_lies_below_the_cut(nights: Nights, run_id: str) -> None:
    below, _ = at_cut(nights.table, nights.cuts[run_id].offsets)
    assert differing(nights.reference.batch(below), nights.gold[run_id]) == {}, nights.world


def test_speed_alone_is_the_algebra_of_everything(nights: Nights) -> None:
    speed = nights.site.speed()
    assert differing({name: nights.whole[name] for name in speed}, speed) == {}, nights.world


@RUNS
def test_merged_answer_is_everything_whatever_was_published(nights: Nights, run_id: str) -> None:
    speed = nights.site.speed(after_segment=nights.cuts[run_id].segment)
    assert differing(nights.whole, nights.reference.merged(nights.gold[run_id], speed)) == {}, nights.world


def test_answer_is_the_oracles(nights: Nights) -> None:
    oracle = Oracle(nights.world.rules)
    oracle.load(nights.table)
    expected = {name: oracle.table(name) for name in oracle.names}
    actual = {name: nights.whole[name].cast(table.schema) for name, table in expected.items()}
    assert differing(expected, actual) == {}, nights.world


@RUNS
def test_silver_accounts_for_every_record_that_is_no_copy(nights: Nights, run_id: str) -> None:
    version = Runs(nights.world.settings).tables(run_id)[EVENTS]["version"]
    path = nights.world.settings.table_path(EVENTS)
    rows = pa.table(delta_io.open_table(path, version).to_pyarrow_table(columns=["status", "reason"]))
    silver = rows.group_by(["status"]).aggregate([([], "count_all")]).to_pydict()
    quality = nights.gold[run_id]["quality"].group_by(["status"]).aggregate([("rows", "sum")]).to_pydict()
    counted = dict(zip(quality["status"], quality["rows_sum"], strict=True))
    counted.pop("duplicate", None)
    assert dict(zip(silver["status"], silver["count_all"], strict=True)) == counted
