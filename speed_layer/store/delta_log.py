"""What the commits of a Delta table say of themselves (`userMetadata`), by exact version.

Read from the log's own files: delta-rs's `history` counts versions down from the one that was loaded, but lists what
was committed since as well, so beside a writer its versions are wrong.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pyarrow import fs


@dataclass(frozen=True, slots=True)
class Commit:
    """A table's commit that carries our metadata."""

    version: int
    metadata: dict[str, Any]


def commits(path: str) -> Iterator[Commit]:
    """The commits that carry our metadata, newest first; none where there is no table."""
    filesystem, log = _log(path)
    infos = filesystem.get_file_info(fs.FileSelector(log, allow_not_found=True))
    names = sorted((i.base_name for i in infos if i.base_name.endswith(".json")), reverse=True)
    for version in (int(name.removesuffix(".json")) for name in names if name[:-5].isdigit()):
        if metadata := said(path, version):
            yield Commit(version, metadata)


def said(path: str, version: int) -> dict[str, Any]:
    """Our metadata of one commit; empty where it carries none, or where the log no longer has it."""
    filesystem, log = _log(path)
    try:
        with filesystem.open_input_stream(f"{log}/{version:020}.json") as stream:
            actions = stream.read().splitlines()
    except FileNotFoundError:
        return {}
    infos = (json.loads(action).get("commitInfo") for action in actions if b'"commitInfo"' in action)
    text = next((info.get("userMetadata") for info in infos if info), None)
    metadata: dict[str, Any] = json.loads(text) if text else {}
    return metadata


def _log(path: str) -> tuple[fs.FileSystem, str]:
    filesystem, folder = fs.FileSystem.from_uri(path) if "://" in path else (fs.LocalFileSystem(), path)
    return filesystem, f"{folder}/_delta_log"
