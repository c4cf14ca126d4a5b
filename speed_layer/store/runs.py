"""A batch run on disk: drafts while it is built, one immutable manifest when it is published.

<warehouse>/_runs/<run_id>/cut.json        what was sealed
<warehouse>/_runs/<run_id>/<table>.json    one finished table: its Delta version and row count
<warehouse>/_runs/<run_id>.json            the manifest
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from pyarrow import fs

from contracts.errors import RunInvalid
from contracts.settings import Settings


@dataclass(frozen=True, slots=True)
class RunCut:
    """What a run is a pure function of: bronze at `bronze_version` below `offsets`, under `semantics_hash`.

    `logs_before` are complete logs that lie before `log`: all their records belong to the run.
    """

    run_id: str
    log: int
    topic_id: str
    offsets: dict[int, int]
    generation: int
    segment: int
    batch: int
    semantics_hash: str
    bronze_version: int
    sealed_at: str

    @classmethod
    def from_json(cls, given: dict[str, Any]) -> RunCut:
        """The cut as `asdict` wrote it."""
        return cls(**{**given, "offsets": {int(p): o for p, o in given["offsets"].items()}})


@dataclass(frozen=True, slots=True)
class Manifest:
    """A published run: its cut and the Delta version of every table, by `layer.name`.

    `dimensions` are the versions that were read with when it was published: for the record, no rollback restores them.
    """

    cut: RunCut
    tables: dict[str, int]
    verified: bool
    published_at: str
    rows: dict[str, int] = field(default_factory=dict)
    dimensions: dict[str, int] = field(default_factory=dict)

    @classmethod
    def from_json(cls, given: dict[str, Any]) -> Manifest:
        """The manifest as it was written."""
        return cls(**{**given, "cut": RunCut.from_json(given["cut"])})


class Runs:
    """Reads and writes the run files of one warehouse."""

    def __init__(self, settings: Settings) -> None:
        at = settings.warehouse_path
        filesystem, path = fs.FileSystem.from_uri(at) if "://" in at else (fs.LocalFileSystem(), at)
        self._fs, self._folder = filesystem, f"{path}/_runs"

    def write_cut(self, cut: RunCut) -> None:
        """Write down what a run is to be built from."""
        self._write(f"{cut.run_id}/cut.json", asdict(cut))

    def cut(self, run_id: str) -> RunCut:
        """A sealed run's cut. Raises `RunInvalid` where there is none."""
        given = self._read(f"{run_id}/cut.json")
        if given is None:
            raise RunInvalid(f"Run {run_id} was not sealed", "Run `tidemark batch seal` first.")
        return RunCut.from_json(given)

    def write_table(self, run_id: str, table: str, version: int, rows: int) -> None:
        """Write down a finished table of a run."""
        self._write(f"{run_id}/{table}.json", {"version": version, "rows": rows})

    def tables(self, run_id: str) -> dict[str, dict[str, int]]:
        """The finished tables of a run: version and rows by `layer.name`."""
        found: dict[str, dict[str, int]] = {}
        for name in self._names(run_id):
            content = self._read(f"{run_id}/{name}") if name not in ("cut.json", "verified.json") else None
            if content is not None:
                found[name.removesuffix(".json")] = content
        return found

    def write_verified(self, run_id: str, differences: list[Any]) -> None:
        """Write down the outcome of verifying a run."""
        self._write(f"{run_id}/verified.json", {"differences": differences})

    def is_verified(self, run_id: str) -> bool:
        """Whether the run was verified without a difference."""
        given = self._read(f"{run_id}/verified.json")
        return given is not None and given["differences"] == []

    def write_manifest(self, manifest: Manifest) -> str:
        """Write the manifest; gives its path. An identical one may stand there already."""
        self._write(f"{manifest.cut.run_id}.json", asdict(manifest))
        return f"{self._folder}/{manifest.cut.run_id}.json"

    def manifest(self, run_id: str) -> Manifest:
        """A published run's manifest. Raises `RunInvalid` where there is none."""
        given = self._read(f"{run_id}.json")
        if given is None:
            raise RunInvalid(f"Run {run_id} has no manifest", "Run `tidemark recover`, or publish a new run.")
        return Manifest.from_json(given)

    def manifests(self) -> list[Manifest]:
        """Every manifest, newest first."""
        found = [self.manifest(name.removesuffix(".json")) for name in self._names("") if name.endswith(".json")]
        return sorted(found, key=lambda m: m.published_at, reverse=True)

    def _names(self, folder: str) -> list[str]:
        selector = fs.FileSelector(f"{self._folder}/{folder}".rstrip("/"), allow_not_found=True)
        return [info.base_name for info in self._fs.get_file_info(selector) if info.is_file]

    def _read(self, name: str) -> dict[str, Any] | None:
        try:
            with self._fs.open_input_stream(f"{self._folder}/{name}") as stream:
                content: dict[str, Any] = json.loads(stream.read())
                return content
        except FileNotFoundError:
            return None

    def _write(self, name: str, content: dict[str, Any]) -> None:
        path = f"{self._folder}/{name}"
        self._fs.create_dir(path.rpartition("/")[0], recursive=True)
        with self._fs.open_output_stream(f"{path}.part") as stream:
            stream.write(json.dumps(content, indent=1, sort_keys=True).encode())
        self._fs.move(f"{path}.part", path)
