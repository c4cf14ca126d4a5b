"""Getting back to a whole state: a lost store from its manifests, and new rules at the published cut."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from contracts.errors import NotPublished, RulesChanged, RunInvalid, WarehouseDamaged
from contracts.semantics import semantics_hash
from contracts.settings import Settings
from infra.dimensions.load import newest_versions
from infra.nightly import new_run_id, spark
from serving.merge import check_whole
from serving.verify import verify_run
from spark_jobs.jobs.gold import build_gold
from spark_jobs.jobs.publish import publish
from spark_jobs.jobs.report import build_reports
from spark_jobs.jobs.silver import build_silver
from speed_layer.generations import begin
from speed_layer.store import Cut, Log, Published, open_store
from speed_layer.store.runs import Manifest, Runs
from speed_layer.topics import Topics


def run_recover(settings: Settings, now: datetime) -> dict[str, Any]:
    """Point an empty store at the newest manifest whose tables are all readable, and start a generation at its cut.

    Raises `NotPublished` where there is no whole manifest, `RulesChanged` where the code has other rules.
    """
    manifest = _newest_whole(settings)
    cut = manifest.cut
    if cut.semantics_hash != semantics_hash(settings.rules):
        raise RulesChanged(
            f"Run {cut.run_id} was made with rules {cut.semantics_hash}, this code has others",
            "Redeploy the code that made it, recover, then upgrade.",
        )
    dimensions = newest_versions(settings, manifest, now)
    store = open_store(settings.store)
    log = Log(cut.log, "events", cut.topic_id, now)
    at = datetime.fromisoformat(manifest.published_at)
    run = Published(cut.run_id, cut.generation, cut.offsets, cut.semantics_hash, _path(settings, cut.run_id), at, -1, 0)
    with store.write() as writer:
        generation = writer.restore(run, log, now, f"recovered from the manifest of run {cut.run_id}")
        for name, version in dimensions.items():
            writer.set_dimension(name, version)
    store.close()
    return {
        "run_id": cut.run_id,
        "cut": cut.offsets,
        "generation": generation.number,
        "dimensions": {name: held.version for name, held in dimensions.items()},
    }


def run_upgrade(settings: Settings, say: Callable[[str], None]) -> dict[str, Any]:
    """Rebuild at the published cut with this code, start a generation there, and publish the pair.

    Raises `NotPublished` where nothing is published: then only the live half has to begin again.
    """
    store, now = open_store(settings.store, create=False), datetime.now(UTC)
    with store.read() as reader:
        pointer = reader.pointer()
    rules = semantics_hash(settings.rules)
    topics = Topics(settings.bootstrap)
    if pointer is None:
        made = begin(store, topics, settings, rules, now, "new rules, nothing published")
        with store.write() as writer:
            writer.adopt(made.generation.number)
        return {"generation": made.generation.number, "run_id": None}
    if pointer.semantics_hash == rules:
        raise RunInvalid("The published run was made with these very rules", "There is nothing to upgrade.")
    runs = Runs(settings)
    run_id = new_run_id(now)
    made = begin(store, topics, settings, rules, now, f"new rules {rules}")
    old = runs.manifest(pointer.run_id).cut
    number = made.generation.number
    cut = replace(
        old, run_id=run_id, generation=number, segment=0, batch=-1, semantics_hash=rules, sealed_at=now.isoformat()
    )
    runs.write_cut(cut)
    session = spark(settings, "tidemark-upgrade")
    say("silver")
    build_silver(session, settings, run_id)
    build_gold(session, settings, run_id, built=lambda table: say(f"gold {table}"))
    build_reports(session, settings, store, run_id)
    session.stop()
    say("verify")
    if found := verify_run(settings, run_id):
        raise RunInvalid(f"Run {run_id} differs from the oracle: {found[0]}", "Nothing was published. Report it.")
    with store.write() as writer:
        writer.record_cut(
            Cut(run_id, number, 0, -1, pointer.offsets, rules, cut.bronze_version, now),
        )
    publish(settings, store, run_id, now)
    store.close()
    return {"run_id": run_id, "generation": number, "cut": cut.offsets}


def _newest_whole(settings: Settings) -> Manifest:
    for manifest in Runs(settings).manifests():
        try:
            check_whole(settings, manifest)
        except WarehouseDamaged:
            continue
        return manifest
    raise NotPublished("No published run is whole", "Start the live query; `tidemark nightly` publishes the first run.")


def _path(settings: Settings, run_id: str) -> str:
    return f"{settings.warehouse_path}/_runs/{run_id}.json"
