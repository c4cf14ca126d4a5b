"""Logs, generations, notes, and the figures of `status`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from contracts.errors import FenceRefused
from speed_layer.store import DimensionVersion, Store, speed_part
from tests.conftest_store import NOW, record_all, together


def test_a_topic_id_is_one_log_for_ever(live: Store) -> None:
    with live.write() as writer:
        assert writer.register_log("events", "topic-a", NOW).number == 1
        again = writer.register_log("events", "topic-b", NOW)
        assert again.number == 2
        assert writer.current_log("events") == again
        assert writer.log_of("topic-a") == writer.logs()[0]
        assert writer.current_log("other") is None
        assert writer.log_of("topic-c") is None


def test_generations_are_numbered_from_one(live: Store) -> None:
    with live.write() as writer:
        made = writer.create_generation(1, {0: 7, 1: 3}, "h2", "r1", "catching_up", NOW, "new rules")
        assert made.number == 2
        assert writer.generation(2) == made == writer.newest_generation()
        writer.set_generation_state(2, "active")
        assert [g.state for g in writer.generations()] == ["active", "active"]
        with pytest.raises(FenceRefused):
            writer.set_generation_state(3, "active")


def test_times_come_back_as_utc(live: Store) -> None:
    elsewhere = datetime(2024, 5, 1, 3, 30, 0, 5, timezone(timedelta(hours=5, minutes=30)))
    with live.write() as writer:
        writer.register_log("events", "topic-b", elsewhere)
        found = writer.log_of("topic-b")
        assert found is not None
        assert found.registered_at == elsewhere
        assert found.registered_at.tzinfo is UTC


def test_an_empty_generation_has_an_empty_speed_part(live: Store) -> None:
    with live.write() as writer:
        assert speed_part(writer) == (None, writer.generation(1), None, [])
        writer.set_generation_state(1, "retired")
        assert speed_part(writer) == (None, None, None, [])


def test_notes(live: Store) -> None:
    with live.write() as writer:
        assert writer.note("a") is None
        writer.set_note("a", "1")
        writer.set_note("a", "2")
        assert writer.note("a") == "2"
        writer.set_note("a", None)
        assert writer.note("a") is None


def test_counts_and_size(live: Store) -> None:
    record_all(live, range(3))
    live.fold(1, together, now_ms=1000, keep_seconds=0)
    with live.read() as reader:
        counts = reader.counts()
        assert counts.pop("block_bytes") == sum(len(b.payload) for b in reader.blocks(1))
        assert counts == {
            "logs": 1,
            "generations": 1,
            "progress": 3,
            "cuts": 0,
            "published": 0,
            "blocks": 2,
            "unfolded_blocks": 1,
            "block_rows": 3,
        }
        assert reader.size_bytes() > 10_000


def test_the_versions_of_dimensions_are_kept_beside_other_notes(live: Store) -> None:
    one, two = DimensionVersion(3, "table-a", NOW), DimensionVersion(0, "table-b", NOW)
    with live.write() as writer:
        assert writer.dimensions() == {}
        writer.set_note("dimensions", "another note")
        writer.set_dimension("products", one)
        writer.set_dimension("exchange_rates", one)
        writer.set_dimension("products", two)
    with live.read() as reader:
        assert reader.dimensions() == {"products": two, "exchange_rates": one}
