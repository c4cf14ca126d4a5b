"""Where the tools live."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.local import paths


def test_tools_are_in_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TIDEMARK_TOOLS", raising=False)
    assert (paths.repo_root() / "pyproject.toml").is_file()
    assert paths.tools_dir() == paths.repo_root() / ".tools"
    assert paths.jars_dir() == paths.tools_dir() / "jars"


def test_tools_can_be_elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TIDEMARK_TOOLS", str(tmp_path / "t"))
    assert paths.jars_dir() == (tmp_path / "t" / "jars").resolve()
