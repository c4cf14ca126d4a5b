"""L5 of the log itself: partitions added, records that retention took, a topic that was created again."""

from __future__ import annotations

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from contracts.errors import RecordsLost, TopicRecreated
from contracts.names import span
from contracts.topics import EVENTS
from tests.e2e.stack.installation import Installation, world

pytestmark = [pytest.mark.stack, pytest.mark.timeout(1500)]


def take_records(house: Installation, below: dict[int, int]) -> None:
    """What retention does: the records below these offsets are gone."""
    wanted = [TopicPartition(EVENTS.name, p, offset) for p, offset in below.items()]
    admin = AdminClient({"bootstrap.servers": house.broker.bootstrap})
    for future in admin.delete_records(wanted).values():
        future.result(30)


def test_partitions_are_added(house: Installation) -> None:
    items = world(seed=51, messages=900)
    house.pump(items[:400])
    house.await_visible()
    total = len(house.topics.partitions(EVENTS.name)) + 1
    house.topics.add_partitions(EVENTS.name, total)
    house.pump(items[400:])
    house.await_visible()
    house.await_bronze()
    assert house.topics.ends(EVENTS.name)[total - 1] > 0, "the new partition is used"
    house.assert_exact()

    # The limit that the design names: of copies on either side of it, live keeps the first read, batch the lowest name.
    # So until the next publish `quality` may put the copy to the other partition; nothing else changes.
    before = house.topics.ends(EVENTS.name)
    good, copies = (house.rows_by_status(status) for status in ("good", "duplicate"))
    house.pump(items[:200])
    house.await_visible()
    house.await_bronze()
    assert {found["table"] for found in house.differences()} <= {"quality"}
    assert house.rows_by_status("good") == good
    assert house.rows_by_status("duplicate") == copies + span(before, house.topics.ends(EVENTS.name))
    house.cli("nightly")
    house.assert_exact()


def test_retention_passes_and_the_topic_is_created_again(house: Installation) -> None:
    items = world(seed=52, messages=700)
    house.pump(items[:300])
    house.await_visible()
    house.await_bronze()
    house.kill("live", "bronze")

    # What was read may go: nothing is lost.
    take_records(house, house.topics.ends(EVENTS.name))
    house.up()
    house.pump(items[300:500])
    house.await_visible()
    house.await_bronze()
    house.assert_exact()
    before = house.answer()

    # What was not read may not.
    house.kill("live", "bronze")
    house.pump(items[500:700])
    take_records(house, {p: offset - 5 for p, offset in house.topics.ends(EVENTS.name).items()})
    house.start("live", "bronze")
    assert house.refusal("live") == house.refusal("bronze") == RecordsLost.exit_code
    assert "RecordsLost" in house.cli("generations", "new", code=RecordsLost.exit_code).err
    assert house.answer() == before

    # Another topic under the same name: its offsets name other records.
    house.topics.delete(EVENTS.name)
    house.until(house.topic_is_gone, "the topic to be gone")
    house.topics.ensure(EVENTS, house.settings.partitions)
    house.pump(world(seed=53, messages=200))
    house.start("live", "bronze")
    assert house.refusal("live") == house.refusal("bronze") == TopicRecreated.exit_code
    assert house.answer() == before
    house.cli("nightly")
    assert house.answer() == before
    house.cli("generations", "new")
    house.up()
    house.await_visible()
    house.await_bronze()
    house.assert_exact()


def test_the_topic_is_created_again_while_the_queries_run(house: Installation) -> None:
    # More than the new topic will hold: so Spark alone would see nothing new in it.
    house.pump(world(seed=54, messages=800))
    house.await_visible()
    house.await_bronze()
    before = house.answer()
    house.topics.delete(EVENTS.name)
    house.until(house.topic_is_gone, "the topic to be gone", watched=False)
    house.topics.ensure(EVENTS, house.settings.partitions)
    house.pump(world(seed=55, messages=300))
    # Which of the two they see first depends on the moment; started again, they see another topic.
    for name in ("live", "bronze"):
        assert house.refusal(name) in (RecordsLost.exit_code, TopicRecreated.exit_code)
    house.start("live", "bronze")
    assert house.refusal("live") == house.refusal("bronze") == TopicRecreated.exit_code
    refused = house.cli("generations", "new", code=TopicRecreated.exit_code)
    assert "tidemark nightly" in refused.err, "what the old topic held is not published"
    assert house.answer() == before
    house.is_spent = True
