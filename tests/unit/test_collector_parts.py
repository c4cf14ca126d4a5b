"""The collector's secret, keys, log lines and listening socket."""

from __future__ import annotations

import io
import json
import logging
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from contracts.errors import PortTaken, SettingInvalid
from infra import log
from speed_layer.collector.__main__ import listening
from speed_layer.collector.keys import parse_keys
from speed_layer.secret import VARIABLE, installation_secret


@pytest.fixture
def no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)


@pytest.mark.usefixtures("no_variable")
def test_the_secret_is_made_once_and_kept(tmp_path: Path) -> None:
    made = installation_secret(tmp_path / "home")
    assert len(made) == 64
    assert installation_secret(tmp_path / "home") == made
    assert (tmp_path / "home" / "secret").stat().st_mode & 0o777 == 0o600
    assert [file.name for file in (tmp_path / "home").iterdir()] == ["secret"]


@pytest.mark.usefixtures("no_variable")
def test_processes_that_start_together_agree(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        assert len(set(pool.map(lambda _: installation_secret(tmp_path), range(64)))) == 1


def test_the_variable_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, " correct horse battery ")
    assert installation_secret(tmp_path) == b"correct horse battery"
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setenv(VARIABLE, "short")
    with pytest.raises(SettingInvalid) as caught:
        installation_secret(tmp_path)
    assert "short'" not in str(caught.value)


@pytest.mark.usefixtures("no_variable")
@pytest.mark.parametrize("content", [b"", b"abc\n", b"\xff" * 64])
def test_a_damaged_secret_is_never_replaced(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "secret").write_bytes(content)
    with pytest.raises(SettingInvalid) as caught:
        installation_secret(tmp_path)
    assert "estore it" in caught.value.remedy
    assert (tmp_path / "secret").read_bytes() == content


def test_keys_with_and_without_a_source() -> None:
    assert parse_keys("a, b:web ,c:") == {"a": None, "b": "web", "c": None}


@pytest.mark.parametrize("text", ["", "a,", "a,a", ":web", "a:x,a:y"])
def test_unusable_keys_are_refused(text: str) -> None:
    with pytest.raises(SettingInvalid):
        parse_keys(text)


def test_a_port_in_use_is_an_error_with_a_remedy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder, pytest.raises(PortTaken) as caught:
        listening("127.0.0.1", holder.getsockname()[1])
    assert "TIDEMARK_COLLECTOR_PORT" in caught.value.remedy
    assert caught.value.exit_code != 0


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    root, levels = logging.root, {name: logging.getLogger(name).level for name in ("uvicorn.access", "httpx")}
    handlers, level = root.handlers, root.level
    stream = io.StringIO()
    log.configure("test", stream=stream)
    yield stream
    root.handlers, root.level = handlers, level
    logging.captureWarnings(capture=False)
    for name, was in levels.items():
        logging.getLogger(name).setLevel(was)


def test_every_log_line_is_json_in_utc(lines: io.StringIO) -> None:
    log.get("ours").info("counted", events=3)
    logging.getLogger("uvicorn.error").warning("theirs %d", 7)
    ours, theirs = (json.loads(line) for line in lines.getvalue().splitlines())
    assert ours["event"] == "counted"
    assert ours["events"] == 3
    assert theirs["event"] == "theirs 7"
    for line in (ours, theirs):
        assert line["timestamp"].endswith("Z")
        assert line["process"] == "test"
        assert line["level"]


def test_tracebacks_hold_no_local_variables_and_access_lines_are_off(lines: io.StringIO) -> None:
    visitor = "a-visitor-that-must-not-be-logged"
    try:
        int(len(visitor) / 0)
    except ZeroDivisionError:
        log.get("ours").exception("failed")
    logging.getLogger("uvicorn.access").info("203.0.113.7 - GET /")
    assert lines.getvalue().count("\n") == 1
    assert visitor not in lines.getvalue()
    assert "ZeroDivisionError" in lines.getvalue()
