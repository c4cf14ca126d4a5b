"""The merge against the algebra over all events: a real store, real Delta tables, no Spark."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import serving
from contracts.errors import RulesChanged, StoreUnavailable, WarehouseDamaged
from contracts.reports import REPORTS
from serving import Tidemark
from speed_layer.store import open_store
from tests.unit.dimensions import load_all
from tests.unit.installation import START, Installation, event, lines, shop

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    made = Installation(tmp_path / "home")
    yield made
    made.close()


def answers(tm: Tidemark, installation: Installation) -> dict[str, Any]:
    return {name: tm.table(name) for name in installation.tables([])}


def follows(tm: Tidemark, installation: Installation) -> bool:
    """Whether the views, refreshed, equal the algebra over all events."""
    tm.refresh()
    return installation.differences(answers(tm, installation)) == []


def is_exact(tm: Tidemark, installation: Installation) -> bool:
    """Whether the views that followed along and views opened now both equal the algebra over all events."""
    assert follows(tm, installation)
    with serving.connect(installation.settings) as fresh:
        assert installation.differences(answers(fresh, installation)) == []
        assert fresh.as_of == tm.as_of
        for view in tm.views:
            assert lines(fresh.sql(f"FROM {view}")) == lines(tm.sql(f"FROM {view}"))
    return True


def test_speed_alone(installation: Installation) -> None:
    with serving.connect(installation.settings) as tm:
        assert tm.sql("SELECT sum(events) AS n FROM traffic").to_pylist() == [{"n": None}]
        for part in (shop(1, 60), shop(2, 1)):
            installation.record(part)
            assert is_exact(tm, installation)
        assert tm.as_of.run_id is None
        assert tm.as_of.offsets == installation.ends


def test_batch_alone(installation: Installation) -> None:
    installation.record(shop(3, 100))
    installation.seal("r1")
    installation.publish("r1")
    with serving.connect(installation.settings) as tm:
        assert is_exact(tm, installation)
        assert tm.speed_rows() == 0
        assert tm.as_of.cut == tm.as_of.offsets == installation.ends


def test_merged_with_late_events_copies_of_orders_and_bridged_sessions(installation: Installation) -> None:
    steps = [event(i, START + timedelta(seconds=s)) for i, s in enumerate((0, 1800, 5401, 90_000))]
    order = {"kind": "purchase", "order_id": "o1", "value_minor": 500, "visitor": "v1"}
    installation.record([*steps, event(8, START + timedelta(minutes=9), **order)])
    installation.seal("r1")
    installation.publish("r1")
    with serving.connect(installation.settings) as tm:
        # It joins two sessions of gold; the order's earlier copy takes its place, with another value and visitor.
        earlier = {**order, "value_minor": 700, "visitor": "v2"}
        late = [event(9, START + timedelta(seconds=3601)), event(10, START + timedelta(minutes=8), **earlier)]
        installation.record(late)
        assert is_exact(tm, installation)
        assert tm.sql("SELECT count(*) AS n FROM sessions WHERE visitor = 'v1'").to_pylist() == [{"n": 2}]
        found = tm.sql("SELECT orders, gross_minor, repeated_orders FROM revenue_day").to_pylist()
        assert found == [{"orders": 1, "gross_minor": 700, "repeated_orders": 1}]


@pytest.mark.parametrize("seed", range(2))
def test_following_along_equals_starting_afresh(installation: Installation, seed: int) -> None:
    actions: list[Callable[[], object]] = [
        installation.fold,
        lambda: installation.seal("r1"),
        lambda: installation.publish("r1"),
        installation.fold,
        lambda: installation.seal("r2"),
        lambda: installation.record(shop(90 + seed, 25)),
        lambda: installation.publish("r2"),
    ]
    with serving.connect(installation.settings) as tm:
        for number, act in enumerate(actions):
            installation.record(shop(10 * seed + number, 40))
            installation.record(shop(10 * seed + number + 1, 5 * number + 1))
            assert follows(tm, installation)
            act()
            assert follows(tm, installation)
        assert is_exact(tm, installation)
        assert tm.as_of.run_id == "r2"


def test_refreshing_less_often_than_folding_gives_the_same(installation: Installation) -> None:
    with serving.connect(installation.settings) as tm:
        for number in range(20):
            installation.record(shop(number, 10))
            if number % 6 == 0:
                installation.fold()
            if number % 7 == 0:
                tm.refresh()
        assert is_exact(tm, installation)


def test_compaction_changes_no_answer(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.merge._COMPACT_EVERY", 1)
    with serving.connect(installation.settings) as tm:
        for number in range(3):
            installation.record(shop(number, 30))
            assert follows(tm, installation)


def test_rolling_back_gives_the_earlier_run_and_the_same_answer(installation: Installation) -> None:
    with serving.connect(installation.settings) as tm:
        for run_id in ("r1", "r2"):
            installation.record(shop(len(run_id), 40))
            installation.seal(run_id)
            installation.record(shop(5, 20))
            installation.publish(run_id)
            tm.refresh()
        with installation.store.write() as writer:
            writer.rollback(installation.now)
        assert is_exact(tm, installation)
        assert tm.as_of.run_id == "r1"


def test_a_store_without_a_generation_can_be_refreshed(tmp_path: Path) -> None:
    settings = replace(Installation(tmp_path / "unused").settings, home=tmp_path / "home")
    open_store(settings.store).close()
    with serving.connect(settings) as tm:
        assert tm.refresh() == tm.refresh()
        assert tm.as_of.generation is None


def test_nothing_new_costs_no_reading_of_partials(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    installation.record(shop(1, 20))
    with serving.connect(installation.settings) as tm:
        monkeypatch.setattr("speed_layer.store.Reader.blocks", lambda *_: pytest.fail("read"))
        monkeypatch.setattr("speed_layer.store.Reader.blocks_since", lambda *_: pytest.fail("read"))
        before = tm.as_of
        assert tm.refresh() is before


def test_a_query_sees_one_state_while_refreshes_go_on(installation: Installation) -> None:
    """Every batch adds one event to each of two visitors: any answer has equal counts, and as many as `as_of` says."""
    with serving.connect(installation.settings) as tm:
        done = threading.Event()
        faults: list[object] = []

        def ask() -> None:
            counts = "SELECT visitor, sum(events)::BIGINT AS n, (SELECT sum(events) FROM traffic)::BIGINT AS all_events"
            while not done.is_set():
                rows, as_of = tm.answer(f"{counts} FROM sessions GROUP BY visitor")
                expected = as_of["batch"] + 1
                found = {(row["n"], row["all_events"]) for row in rows.to_pylist()}
                if found not in ({(expected, 2 * expected)}, set()):
                    faults.append((found, as_of))

        askers = [threading.Thread(target=ask) for _ in range(2)]
        for asker in askers:
            asker.start()
        for number in range(14):
            at = START + timedelta(minutes=20 * number)
            installation.record([event(2 * number, at, "a"), event(2 * number + 1, at, "b")])
            if number == 5:
                installation.seal("r1")
            if number == 8:
                installation.publish("r1")
            tm.refresh()
        done.set()
        for asker in askers:
            asker.join()
        assert faults == []
        assert is_exact(tm, installation)


def test_far_off_buckets_are_hidden_until_their_time_is_near(installation: Installation) -> None:
    far = event(1, START + timedelta(days=3), "far", "purchase", order_id="o1", value_minor=5)
    with serving.connect(installation.settings) as tm:
        installation.record([event(0, START, "near"), far])
        tm.refresh()
        assert tm.sql("SELECT events FROM traffic").to_pylist() == [{"events": 1}]
        assert tm.sql("SELECT visitor FROM sessions").to_pylist() == [{"visitor": "near"}]
        assert tm.sql("FROM orders").num_rows == tm.sql("FROM revenue").num_rows == 0
        assert tm.sql("SELECT sum(rows)::BIGINT AS n FROM quality").to_pylist() == [{"n": 2}]
        assert installation.differences(answers(tm, installation)) == []
        installation.record([], after_seconds=2 * 86_400)
        tm.refresh()
        assert tm.sql("SELECT sum(events)::BIGINT AS n FROM traffic").to_pylist() == [{"n": 2}]


def test_other_rules_are_refused_with_the_remedy(installation: Installation) -> None:
    installation.record(shop(1, 10))
    changed = replace(installation.settings, session_gap_seconds=60)
    with pytest.raises(RulesChanged, match="other") as refused:
        serving.connect(changed)
    assert "tidemark upgrade" in refused.value.remedy


def test_gold_of_other_rules_is_refused(installation: Installation) -> None:
    installation.record(shop(1, 10))
    installation.seal("r1")
    installation.publish("r1", semantics="0123456789abcdef")
    with pytest.raises(RulesChanged):
        serving.connect(installation.settings)


def test_a_missing_store_is_said(tmp_path: Path) -> None:
    settings = replace(Installation(tmp_path / "one").settings, home=tmp_path / "other")
    with pytest.raises(StoreUnavailable):
        serving.connect(settings)
    assert not (tmp_path / "other").exists()


def test_a_missing_table_version_is_said(installation: Installation) -> None:
    installation.record(shop(1, 10))
    installation.seal("r1")
    installation.publish("r1")
    for file in (installation.settings.home / "warehouse/gold/orders/_delta_log").glob("*"):
        file.unlink()
    with pytest.raises(WarehouseDamaged, match="gold/orders") as damaged:
        serving.connect(installation.settings)
    assert "tidemark recover" in damaged.value.remedy


def test_a_missing_data_file_is_said(installation: Installation) -> None:
    installation.record(shop(1, 10))
    installation.seal("r1")
    installation.publish("r1")
    for file in (installation.settings.home / "warehouse/gold/sessions").glob("*.parquet"):
        file.unlink()
    with pytest.raises(WarehouseDamaged, match="gold/sessions"):
        serving.connect(installation.settings)


def test_a_failed_refresh_leaves_the_last_answer(installation: Installation) -> None:
    installation.record(shop(1, 10))
    with serving.connect(installation.settings) as tm:
        before = tm.answer("SELECT sum(events)::BIGINT AS n FROM traffic")
        installation.seal("r1")
        installation.publish("r1")
        manifest = next((installation.settings.home / "warehouse/_runs").glob("r1.json"))
        hidden = manifest.rename(manifest.with_suffix(".away"))
        with pytest.raises(Exception, match="manifest"):
            tm.refresh()
        assert tm.answer("SELECT sum(events)::BIGINT AS n FROM traffic") == before
        hidden.rename(manifest)
        assert is_exact(tm, installation)


def test_a_replaced_store_is_taken_up_after_reopening(installation: Installation, tmp_path: Path) -> None:
    installation.record(shop(1, 10))
    with serving.connect(installation.settings) as tm:
        before = tm.as_of
        for file in installation.settings.home.glob("store.sqlite*"):
            file.unlink()
        with pytest.raises(StoreUnavailable):
            tm.refresh()
        with pytest.raises(StoreUnavailable):
            tm.reopen()
        assert tm.as_of == before
        again = Installation(installation.settings.home)
        again.record(shop(2, 10))
        with pytest.raises(StoreUnavailable):
            tm.refresh()
        tm.reopen()
        assert is_exact(tm, again)
        again.close()


def test_without_bots_is_the_answer_over_what_no_declared_robot_did(tmp_path: Path) -> None:
    events = shop(11, 150)
    for e in events:
        e["is_declared_bot"] = e["visitor"] in {"v1", "v5", "v9"}
        if e.get("order_id"):
            e["order_id"] += e["visitor"]
    both = []
    for name, wanted in (("all", events), ("humans", [e for e in events if not e["is_declared_bot"]])):
        made = Installation(tmp_path / name)
        made.record(wanted[: len(wanted) // 2])
        made.seal("r1")
        made.publish("r1")
        made.record(wanted[len(wanted) // 2 :])
        load_all(made.store, made.settings)
        both.append(made)
    with serving.connect(both[0].settings) as everything, serving.connect(both[1].settings) as humans:
        for view in everything.views:
            if view not in {"quality", *REPORTS}:
                found, expected = everything.sql(f"FROM without_bots.{view}"), humans.sql(f"FROM {view}")
                assert found.num_rows
                assert lines(found) == lines(expected), view
        assert everything.sql("FROM without_bots.traffic").num_rows < everything.sql("FROM traffic").num_rows
    for made in both:
        made.close()
