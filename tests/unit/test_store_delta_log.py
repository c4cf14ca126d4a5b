"""What a table's commits say, and that each says it under its own version."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
from deltalake import CommitProperties, write_deltalake

from speed_layer.store.delta_log import commits, said


def append(path: str, metadata: object = None) -> None:
    given = CommitProperties({"userMetadata": json.dumps(metadata)}) if metadata else None
    write_deltalake(path, pa.table({"x": [1]}), mode="append", commit_properties=given)


def test_newest_first_under_their_own_versions(tmp_path: Path) -> None:
    path = str(tmp_path / "table")
    append(path, {"to": 1})
    append(path)
    append(path, {"to": 2})
    reading = commits(path)
    first = next(reading)
    append(path, {"to": 3})
    assert [(c.version, c.metadata["to"]) for c in (first, *reading)] == [(2, 2), (0, 1)]
    assert [c.version for c in commits(path)] == [3, 2, 0]


def test_one_commit(tmp_path: Path) -> None:
    path = str(tmp_path / "table")
    append(path, {"run_id": "a"})
    append(path)
    assert said(path, 0) == {"run_id": "a"}
    assert said(path, 1) == {}
    assert said(path, 2) == {}


def test_no_table(tmp_path: Path) -> None:
    assert list(commits(str(tmp_path / "table"))) == []
