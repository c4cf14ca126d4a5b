"""Publish: write the run's immutable manifest, then swap the one pointer row."""

from __future__ import annotations

from datetime import datetime

from contracts.algebra import Algebra
from contracts.errors import RunInvalid
from contracts.measures import QUALITY
from contracts.reports import REPORTS
from contracts.settings import Settings
from spark_jobs.jobs.gold import table_names
from spark_jobs.jobs.seal import BRONZE
from spark_jobs.jobs.silver import EVENTS
from speed_layer import failpoints
from speed_layer.store import Published, Store
from speed_layer.store.runs import Manifest, Runs


def publish(settings: Settings, store: Store, run_id: str, now: datetime) -> Published:
    """Publish a built and verified run. Raises `RunInvalid` where a table is missing or verify found a difference."""
    runs = Runs(settings)
    cut, tables = runs.cut(run_id), runs.tables(run_id)
    needed = [EVENTS, f"gold.{QUALITY.name}", *(f"gold.{n}" for n in table_names(Algebra.of(settings.rules)))]
    needed += [report.table for report in REPORTS.values()]
    missing = [name for name in needed if name not in tables]
    if missing:
        raise RunInvalid(
            f"Run {run_id} lacks {', '.join(missing)}", "Build them: `tidemark batch silver`, `gold`, `reports`."
        )
    if not runs.is_verified(run_id):
        raise RunInvalid(f"Run {run_id} is not verified", "Run `tidemark batch verify` and look at the differences.")
    versions = {name: tables[name]["version"] for name in needed} | {BRONZE: cut.bronze_version}
    rows = {name: tables[name]["rows"] for name in needed}
    with store.read() as reader:
        dimensions = {name: held.version for name, held in reader.dimensions().items()}
    manifest = Manifest(cut, versions, verified=True, published_at=now.isoformat(), rows=rows, dimensions=dimensions)
    path = runs.write_manifest(manifest)
    failpoints.reach("publish.manifest_written")
    with store.write() as writer:
        published = writer.publish(run_id, path, now, semantics_hash=cut.semantics_hash)
        failpoints.reach("publish.in_commit")
    return published
