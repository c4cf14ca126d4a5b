"""L3 on the real stack: `kill -9` at every step of the streaming half, and of the broker, changes no answer."""

from __future__ import annotations

import threading

import psycopg
import pytest

from contracts.names import span
from contracts.topics import EVENTS
from tests.e2e.stack.installation import KILLED, Installation, world

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]


def test_killed_at_every_step_and_started_again(house: Installation) -> None:
    items = world(seed=11, messages=2000)
    house.await_visible()
    house.await_bronze()
    house.kill("live", "bronze")
    # Three batches and more wait for every start, so that the second is not the last.
    for part, (live, bronze) in enumerate(
        [
            ("live.mid_batch@2", "bronze.before_append"),
            ("live.in_commit@2", "bronze.after_append"),
            ("live.after_commit@2", ""),
            ("fold.in_commit", ""),
        ]
    ):
        house.pump(items[part * 500 : (part + 1) * 500])
        house.start("live", failpoint=live)
        if bronze:
            house.start("bronze", failpoint=bronze)
            assert house.exit_code("bronze") == KILLED
        assert house.exit_code("live") == KILLED, live
        house.assert_exact()
    house.pump(items[2000:])
    house.up()
    house.await_visible()
    house.await_bronze()
    assert house.bronze_rows() == house.records()
    house.assert_exact()


def test_the_broker_is_killed_in_the_middle_of_a_replay(house: Installation) -> None:
    items = world(seed=12)
    before = house.topics.ends(EVENTS.name)
    failures: list[BaseException] = []

    def replay() -> None:
        try:
            house.pump(items, rate=150)
        except BaseException as error:  # noqa: BLE001 - raised again below, in the test's own thread
            failures.append(error)

    sender = threading.Thread(target=replay)
    sender.start()
    house.until(lambda: span(before, house.topics.ends(EVENTS.name)) > 200, "the replay to be under way")
    house.kill("kafka")
    house.start("kafka")
    sender.join()
    assert failures == []
    house.await_visible()
    house.await_bronze()
    house.assert_exact()


def test_after_a_jump_of_the_clock_a_new_generation_gives_the_same_answer(house: Installation) -> None:
    items = world(seed=13, messages=300)
    house.pump(items)
    house.await_visible()
    before, old = house.answer(), house.generation()
    house.kill("live")
    house.execute("UPDATE progress SET batch_time_ms = batch_time_ms + 86400000 WHERE generation = :g", g=old)
    house.pump(items[:1])
    house.start("live")
    assert house.exit_code("live") == 24, "ClockJumped"
    house.start("live")
    house.until(lambda: house.generation() > old, "the new generation to be adopted")
    house.await_visible()
    after = house.answer()
    assert {name for name in after if after[name] != before[name]} <= {"quality", "view quality"}, "one copy more"
    house.assert_exact()


def test_killed_inside_a_commit_to_postgresql(postgresql: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    with psycopg.connect(postgresql, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA stack")
    url = f"{postgresql}?options=-csearch_path%3Dstack"
    with Installation(tmp_path_factory.mktemp("house"), store_url=url) as house:
        house.start("kafka")
        house.pump(world(seed=14, messages=800))
        house.start("live", failpoint="live.in_commit@2")
        assert house.exit_code("live") == KILLED
        house.assert_exact()
        house.start("live")
        house.await_visible()
        house.assert_exact()
