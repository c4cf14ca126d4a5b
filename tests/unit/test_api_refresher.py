"""The API follows the store by itself, says so when it cannot, and recovers."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from contracts.errors import PortTaken
from serving.api.__main__ import listening
from serving.api.app import create_app
from serving.api.refresher import Refresher
from tests.unit.api_client import running
from tests.unit.installation import Installation, shop

WAIT_SECONDS = 60


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    made = Installation(tmp_path / "home")
    yield made
    made.close()


@pytest.fixture
def client(installation: Installation) -> Iterator[httpx.Client]:
    with running(create_app(installation.settings)) as client:
        yield client


def until(holds: Callable[[], bool]) -> bool:
    """Whether it holds before long."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def events(client: httpx.Client) -> int | None:
    answer = client.post("/v1/sql", json={"query": "SELECT sum(events) AS n FROM traffic"})
    return answer.json()["rows"][0]["n"] if answer.status_code == 200 else -1


def test_it_follows_the_store_by_itself(client: httpx.Client, installation: Installation) -> None:
    assert until(lambda: client.get("/healthz").status_code == 200)
    for count in (10, 20):
        installation.record(shop(count, 10))
        assert until(lambda: events(client) == count)  # noqa: B023 - asked before the loop goes on
    installation.seal("r1")
    installation.publish("r1")
    assert until(lambda: client.get("/healthz").json()["as_of"]["run_id"] == "r1")
    assert events(client) == 20
    assert "tidemark_api_refresh_seconds_count" in client.get("/metrics").text


def test_before_there_is_a_store_it_says_so_and_connects_when_it_comes(tmp_path: Path) -> None:
    settings = replace(Installation(tmp_path / "unused").settings, home=tmp_path / "home")
    with running(create_app(settings)) as client:
        for path in ("/healthz", "/v1/views", "/v1/query/traffic"):
            answer = client.get(path)
            assert (answer.status_code, answer.json()["as_of"]) == (503, None)
            assert answer.json()["remedy"]
            assert int(answer.headers["retry-after"]) > 0
        assert client.post("/v1/sql", json={"query": "SELECT 1"}).status_code == 503
        assert client.get("/metrics").status_code == 200
        assert not (tmp_path / "home").exists()
        made = Installation(tmp_path / "home")
        made.record(shop(1, 10))
        assert until(lambda: events(client) == 10)
        assert client.get("/healthz").status_code == 200
        made.close()


def test_a_lost_store_keeps_the_last_answer_and_another_is_taken_up(
    client: httpx.Client, installation: Installation
) -> None:
    installation.record(shop(1, 10))
    assert until(lambda: events(client) == 10)
    for file in installation.settings.home.glob("store.sqlite*"):
        file.unlink()
    assert until(lambda: client.get("/healthz").status_code == 503)
    trouble = client.get("/healthz").json()
    assert trouble["type"] == "urn:tidemark:problem:store-unavailable"
    assert trouble["as_of"]["batch"] == 0
    assert events(client) == 10
    again = Installation(installation.settings.home)
    again.record(shop(2, 7))
    assert until(lambda: events(client) == 7)
    assert until(lambda: client.get("/healthz").status_code == 200)
    again.close()


def test_damage_is_said_and_survived(client: httpx.Client, installation: Installation) -> None:
    installation.record(shop(1, 10))
    assert until(lambda: events(client) == 10)
    installation.seal("r1")
    installation.publish("r1")
    gold = installation.settings.home / "warehouse/gold"
    runs = installation.settings.home / "warehouse/_runs"
    assert until(lambda: client.get("/healthz").json()["as_of"]["run_id"] == "r1")
    installation.record(shop(2, 5))
    installation.seal("r2")
    shutil.move(runs, runs.with_name("away"))
    runs.mkdir()
    installation.publish("r2")
    (runs / "r2.json").unlink()
    assert until(lambda: client.get("/healthz").status_code == 503)
    assert events(client) in (10, 15)
    assert gold.exists()
    (runs / "r2.json").unlink(missing_ok=True)
    shutil.rmtree(runs)
    shutil.move(runs.with_name("away"), runs)
    with installation.store.write() as writer:
        writer.rollback(installation.now)
    assert until(lambda: client.get("/healthz").status_code == 200)
    assert events(client) == 15


def test_a_fault_in_refreshing_does_not_end_the_thread(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = create_app(installation.settings)
    refresher: Refresher = app.state.refresher
    refresher.step()
    assert refresher.trouble is None
    with monkeypatch.context() as broken:
        broken.setattr("serving.client.Tidemark.refresh", lambda _self: 1 / 0)
        refresher.step()
        refresher.step()
    assert "ZeroDivisionError" in str(refresher.trouble)
    refresher.step()
    assert refresher.trouble is None
    refresher.stop()


def test_a_taken_port_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(PortTaken, match="cannot listen") as said:
        listening("127.0.0.1", taken.getsockname()[1])
    assert "TIDEMARK_API_PORT" in said.value.remedy


def test_the_process_ends_with_the_errors_exit_code(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        environment = {"TIDEMARK_HOME": str(tmp_path), "TIDEMARK_API_PORT": str(taken.getsockname()[1])}
        ended = subprocess.run(
            [sys.executable, "-m", "serving.api"],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert ended.returncode == PortTaken.exit_code
    assert "TIDEMARK_API_PORT" in ended.stderr
