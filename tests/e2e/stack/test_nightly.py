"""L1, L2 and L3 of the batch half: publishing changes no answer, whenever it happens and wherever it is killed."""

from __future__ import annotations

import itertools
import threading

import pytest

from tests.e2e.stack.installation import KILLED, Installation, world

pytestmark = [pytest.mark.stack, pytest.mark.timeout(1500)]


def test_killed_at_every_step_the_same_run_is_published_and_changes_no_answer(house: Installation) -> None:
    house.pump(world(seed=21))
    house.await_visible()
    before, run = house.answer(), house.new_run_id()
    for failpoint in (
        "seal.in_commit",
        "seal.after_commit",
        "silver.written",
        "gold.written@4",
        "publish.manifest_written",
    ):
        house.cli("nightly", "--run-id", run, failpoint=failpoint, code=KILLED)
        assert house.answer() == before, failpoint
    house.cli("batch", "publish", "--run-id", run, failpoint="publish.in_commit", code=KILLED)
    assert house.answer() == before
    assert house.published() != run
    sealed = house.cli("batch", "publish", "--run-id", run, "--json").json
    assert sealed["run_id"] == run == house.published()
    assert {int(p): o for p, o in sealed["offsets"].items()} == house.reached()
    assert house.answer() == before
    house.assert_exact()


def test_published_while_traffic_flows_and_rolled_back(house: Installation) -> None:
    items = world(seed=22, messages=2400)
    house.pump(items[:600])
    house.ensure_published()
    first = house.published()
    is_over = threading.Event()
    # The copies straddle the cut: what was sent before it comes again behind it.
    traffic = itertools.takewhile(lambda _: not is_over.is_set(), itertools.cycle(items))
    sender = threading.Thread(target=house.pump, args=(traffic, 60), daemon=True)
    sender.start()
    house.cli("nightly")
    is_over.set()
    house.assert_exact()
    sender.join()
    house.await_visible()
    house.assert_exact()
    before, second = house.answer(), house.published()
    assert second != first
    assert house.cli("rollback", "--json").json["run_id"] == first == house.published()
    assert house.answer() == before
    house.cli("batch", "publish", "--run-id", str(second))
    assert house.published() == second
    assert house.answer() == before
    house.assert_exact()
