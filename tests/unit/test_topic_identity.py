"""A query reads the topic that its generation or log was registered with, whatever Kafka calls by that name now."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from contracts.errors import TopicRecreated
from contracts.settings import Settings
from contracts.topics import EVENTS
from speed_layer.bronze import Bronze, log_now
from speed_layer.generations import Running
from speed_layer.live import Live
from speed_layer.store import open_store

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Cluster:
    """What the queries ask of Kafka when they start. The topic may be created again meanwhile."""

    topic = "topic-a"

    def topic_id(self, _: str) -> str:
        return self.topic

    def beginnings(self, _: str) -> dict[int, int]:
        return {0: 0}

    def partitions(self, _: str) -> list[int]:
        return [0]


def live(settings: Settings, cluster: Any) -> Callable[[], None]:
    store = open_store(settings.store)
    with store.write() as writer:
        log = writer.register_log(EVENTS.name, cluster.topic, NOW)
        made = writer.create_generation(log.number, {}, "h", None, "active", NOW, "first")
    cluster.topic = "topic-b"
    nothing: Any = None
    running = Running(made, {}, settings.home / "checkpoint")
    return Live(settings, store, cluster, running, "h", nothing, nothing).check_topic


def bronze(settings: Settings, cluster: Any) -> Callable[[], None]:
    log, nothing = log_now(settings, cluster), None
    cluster.topic = "topic-b"
    query: Any = Bronze(settings, cluster, log, nothing)  # type: ignore[arg-type]
    check: Callable[[], None] = query._check_topic
    return check


@pytest.mark.parametrize("starting", [live, bronze])
def test_a_topic_that_is_created_again_while_a_query_starts_is_refused(
    tmp_path: Path, starting: Callable[[Settings, Any], Callable[[], None]]
) -> None:
    check = starting(Settings(home=tmp_path), Cluster())
    with pytest.raises(TopicRecreated) as refused:
        check()
    assert "tidemark" in refused.value.remedy
