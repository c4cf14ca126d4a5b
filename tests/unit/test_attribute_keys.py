"""The attribute keys: their file, the variable, rotating, forgetting, and the commands for it."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from contracts.errors import SettingInvalid
from contracts.privacy import attribute, id_of_key
from infra.cli import app
from speed_layer.attribute_keys import (
    FILE_NAME,
    VARIABLE,
    KeyRing,
    forget,
    installation_keys,
    known_keys,
    present_key,
    rotate,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)


def test_a_key_is_made_once_and_kept(tmp_path: Path) -> None:
    home = tmp_path / "home"
    made = present_key(home)
    assert made.id == id_of_key(made.key.encode())
    assert len(made.key) == 64
    assert (home / FILE_NAME).stat().st_mode & 0o777 == 0o600
    assert [file.name for file in home.iterdir()] == [FILE_NAME]
    assert present_key(home) == made
    assert installation_keys(home).attribute_key_id == made.id


def test_processes_that_start_or_rotate_together_agree(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert len({one.id for one in pool.map(lambda _: present_key(tmp_path), range(32))}) == 1
        made = {one.id for one in pool.map(lambda _: rotate(tmp_path, NOW), range(16))}
    assert {one.id for one in known_keys(tmp_path)[1:]} == made
    assert len(made) == 16


def test_a_rotation_keeps_the_old_key_until_it_is_forgotten(tmp_path: Path) -> None:
    first = present_key(tmp_path)
    second = rotate(tmp_path, NOW)
    assert known_keys(tmp_path) == [first, second]
    assert (present_key(tmp_path), second.made_at) == (second, "2026-03-01T12:00:00Z")
    assert forget(tmp_path, first.id) == first
    assert known_keys(tmp_path) == [second]
    assert (tmp_path / FILE_NAME).stat().st_mode & 0o777 == 0o600


def test_the_present_and_unknown_keys_are_not_forgotten(tmp_path: Path) -> None:
    made = present_key(tmp_path)
    for key_id in (made.id, "00000000"):
        with pytest.raises(SettingInvalid):
            forget(tmp_path, key_id)
    assert known_keys(tmp_path) == [made]


def test_the_variable_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, " correct horse battery ")
    assert present_key(tmp_path).key == "correct horse battery"
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(SettingInvalid, match=VARIABLE):
        rotate(tmp_path, NOW)
    monkeypatch.setenv(VARIABLE, "short")
    with pytest.raises(SettingInvalid) as caught:
        present_key(tmp_path)
    assert "short'" not in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"", b"{}", b'[{"id":"a","key":"b"}]', b"\xff", b'[{"id":"00000000","key":"0123456789abcdef"}]']
)
def test_a_damaged_file_is_never_replaced(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    with pytest.raises(SettingInvalid) as caught:
        present_key(tmp_path)
    assert "restore it" in caught.value.remedy
    assert (tmp_path / FILE_NAME).read_bytes() == content


def test_a_running_process_sees_a_rotation(tmp_path: Path) -> None:
    ring = KeyRing(tmp_path)
    ring.keys()
    before = ring.keys()
    assert ring.keys() is before
    rotated = rotate(tmp_path, NOW)
    after = ring.keys()
    assert after.attribute_key_id == rotated.id
    assert attribute("Ada", after) != attribute("Ada", before)
    (tmp_path / FILE_NAME).unlink()
    assert ring.keys() is after


def run(home: Path, *words: str) -> Any:
    result = CliRunner().invoke(app, ["keys", *words], env={"TIDEMARK_HOME": str(home), "COLUMNS": "200"})
    if isinstance(result.exception, SettingInvalid):
        raise result.exception
    assert result.exit_code == 0, result.output
    return json.loads(result.output) if "--json" in words else result.output


def test_the_commands(tmp_path: Path) -> None:
    [first] = run(tmp_path, "list", "--json")
    assert first["is_present"]
    second = run(tmp_path, "rotate", "--json")["id"]
    assert [(one["id"], one["is_present"]) for one in run(tmp_path, "list", "--json")] == [
        (first["id"], False),
        (second, True),
    ]
    assert second in run(tmp_path, "list")
    with pytest.raises(SettingInvalid, match="for good"):
        run(tmp_path, "forget", first["id"])
    assert run(tmp_path, "forget", first["id"], "--yes", "--json")["id"] == first["id"]
    assert [one.id for one in known_keys(tmp_path)] == [second]
    assert all(one.key not in run(tmp_path, "list", "--json") for one in known_keys(tmp_path))


def test_the_command_shows_the_variable_s_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tmp_path, "list")
    monkeypatch.setenv(VARIABLE, "correct horse battery")
    assert [(one["source"], one["is_present"]) for one in run(tmp_path, "list", "--json")] == [
        (FILE_NAME, False),
        (VARIABLE, True),
    ]


@pytest.mark.parametrize("command", ["list", "rotate", "forget"])
def test_every_command_has_help(tmp_path: Path, command: str) -> None:
    assert "Usage" in run(tmp_path, command, "--help")
