"""Status: before anything exists, with servers down, and when something is wrong."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import CommitProperties, write_deltalake

from contracts.settings import Settings
from serving.findings import warnings
from serving.rows import dumps
from serving.status import status
from tests.unit.installation import START, Installation, shop

NOW = START + timedelta(hours=1)


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    made = Installation(tmp_path / "home")
    yield made
    made.close()


@pytest.fixture(autouse=True)
def _no_kafka(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.reach.KAFKA_SECONDS", 0.2)


def commit_bronze(settings: Settings, log: int, to: dict[str, int]) -> None:
    said = {"userMetadata": json.dumps({"log": log, "from": "{}", "to": json.dumps(to)})}
    path = settings.table_path("bronze.events")
    write_deltalake(path, pa.table({"x": [1]}), mode="append", commit_properties=CommitProperties(said))


def test_before_anything_exists(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "none", kafka="127.0.0.1:1")
    found = status(settings, NOW)
    assert (found["pointer"], found["generations"], found["bronze"]) == (None, [], None)
    assert found["store"]["available"] is False
    assert found["store"]["remedy"]
    assert found["kafka"]["ends"] is None
    assert "127.0.0.1:1" in found["kafka"]["note"]
    assert len(found["warnings"]) == 1
    assert not (tmp_path / "none").exists()
    assert dumps(found)


def test_kafka_is_given_up_on_quickly(tmp_path: Path) -> None:
    began = time.monotonic()
    status(Settings(home=tmp_path, kafka="127.0.0.1:1"), NOW)
    assert time.monotonic() - began < 10


def test_live_alone(installation: Installation) -> None:
    installation.record(shop(1, 30))
    found = status(installation.settings, installation.now + timedelta(seconds=90))
    (generation,) = found["generations"]
    assert (generation["number"], generation["state"], generation["reason"]) == (1, "active", "first start")
    assert (generation["last_batch"], generation["seconds_since_last_batch"], generation["records"]) == (0, 90.0, 30)
    assert generation["offsets"] == {str(p): o for p, o in installation.ends.items()}
    assert found["quality"] == {"rows": {"good": 30}, "reasons": {}}
    assert found["store"]["available"] is True
    assert found["store"]["size_bytes"] > 0
    assert found["store"]["block_rows"] > 0
    assert found["warnings"] == []


def test_published(installation: Installation) -> None:
    installation.record(shop(1, 30))
    installation.seal("r1")
    installation.publish("r1")
    installation.record(shop(2, 12))
    commit_bronze(installation.settings, 1, {"0": 3, "1": 4})
    commit_bronze(installation.settings, 2, {"0": 99})
    found = status(installation.settings, installation.now + timedelta(hours=2))
    assert found["pointer"]["run_id"] == "r1"
    assert found["pointer"]["age_seconds"] == pytest.approx(7201)
    assert sum(found["pointer"]["cut"].values()) == 30
    assert found["pointer"]["published_at"].endswith("Z")
    assert found["quality"] == {"rows": {"good": 42}, "reasons": {}}
    assert (found["bronze"]["version"], found["bronze"]["offsets"]) == (1, {"0": 3, "1": 4})
    assert found["rules"]["code"] == found["rules"]["published"] == found["rules"]["live"]
    assert found["warnings"] == []
    late = status(installation.settings, installation.now + timedelta(days=3))
    assert ["nightly" in w for w in late["warnings"]] == [True]


def test_other_rules_a_lost_manifest_and_damaged_gold_are_said(installation: Installation) -> None:
    installation.record(shop(1, 30))
    installation.seal("r1")
    installation.publish("r1")
    commit_bronze(installation.settings, 1, {})
    changed = replace(installation.settings, session_gap_seconds=60)
    said = status(changed, NOW)["warnings"]
    assert len(said) == 2
    assert all("tidemark upgrade" in w for w in said)
    (installation.settings.home / "warehouse/_runs/r1.json").unlink()
    found = status(installation.settings, NOW)
    assert "tidemark recover" in found["warnings"][0]
    assert "error" in found["quality"]


def test_processes_are_shown_as_given(installation: Installation) -> None:
    given = [{"name": "live", "state": "running"}, {"name": "api", "state": "failed", "remedy": "Free port 8080."}]
    found = status(installation.settings, NOW, processes=given)
    assert found["processes"] == given
    assert found["warnings"] == ["The process api has failed. Free port 8080."]
    assert status(installation.settings, NOW, processes=lambda: given)["processes"] == given


def test_lag_is_what_kafka_has_and_they_have_not(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    installation.record(shop(1, 30))
    commit_bronze(installation.settings, 1, {"0": 2})
    ends = {"0": 40, "1": 41, "2": 5}
    answered = {"topic_id": "topic-a", "ends": ends, "note": None}
    monkeypatch.setattr("serving.status.kafka_ends", lambda _settings: answered)
    found = status(installation.settings, NOW)
    live = installation.ends
    assert found["kafka"]["lag"]["live"] == {"0": 40 - live[0], "1": 41 - live[1], "2": 5}
    assert found["kafka"]["lag"]["bronze"] == {"0": 38, "1": 41, "2": 5}
    assert found["warnings"] == []


def test_a_recreated_topic_and_lost_records_are_said() -> None:
    generation: dict[str, Any] = {"number": 2, "state": "catching_up", "reason": "rules", "offsets": {"0": 9}}
    found = {
        "store": {"available": True},
        "rules": {"code": "a", "published": None, "live": "a"},
        "pointer": None,
        "generations": [generation],
        "logs": [{"topic_id": "old"}],
        "kafka": {"topic_id": "new", "ends": {"0": 3}},
        "bronze": None,
    }
    said = warnings(found, 86_400)
    assert [any(word in w for w in said) for word in ("created again", "lost records", "catching up")] == [True] * 3
