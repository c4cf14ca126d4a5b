"""The nightly run in one process: seal, silver, gold, reports, verify, publish. Each is also a command of its own."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from contracts.errors import RunInvalid
from contracts.settings import Settings
from infra.local.jars import ensure_jars
from serving.verify import verify_run
from spark_jobs.jobs.gold import build_gold
from spark_jobs.jobs.publish import publish
from spark_jobs.jobs.report import build_reports
from spark_jobs.jobs.seal import seal
from spark_jobs.jobs.silver import build_silver
from spark_jobs.session import build_session
from speed_layer.store import Published, open_store

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class NightlyReport:
    """What a nightly run did; `seconds` by step."""

    published: Published
    seconds: dict[str, float]


def new_run_id(now: datetime) -> str:
    """A run is named by when it was sealed, UTC."""
    return now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")


def spark(settings: Settings, app: str) -> Any:
    """A Spark session for batch work."""
    return build_session(settings, app, ensure_jars().spark, memory="2g")


def run_nightly(settings: Settings, run_id: str, say: Say) -> NightlyReport:
    """Seal, build, verify and publish `run_id`. Raises `TidemarkError`; a failed run changes no answer."""
    seconds: dict[str, float] = {}
    store = open_store(settings.store)

    def step(name: str, detail: str, work: Callable[[], Any]) -> Any:
        say(f"{name:8} {detail}")
        began = time.monotonic()
        result = work()
        seconds[name] = round(time.monotonic() - began, 2)
        return result

    cut = step("seal", run_id, lambda: seal(settings, store, run_id, datetime.now(UTC), waiting=say))
    records = sum(cut.offsets.values())
    session = step("spark", settings.spark_master, lambda: spark(settings, "tidemark-nightly"))
    step("silver", f"{records:,} records below the cut", lambda: build_silver(session, settings, run_id))
    step("gold", "measures and derived tables", lambda: build_gold(session, settings, run_id, built=_named(say)))
    step("reports", "quality of what arrived, restated days", lambda: build_reports(session, settings, store, run_id))
    session.stop()
    found = step("verify", "against the independent oracle", lambda: verify_run(settings, run_id))
    if found:
        raise RunInvalid(
            f"Run {run_id} differs from the oracle in {len(found)} places, first: {found[0]}",
            "Nothing was published. Look at `tidemark batch verify --run-id` and report the differences.",
        )
    published = step("publish", "swap the pointer", lambda: publish(settings, store, run_id, datetime.now(UTC)))
    store.close()
    return NightlyReport(published, seconds)


def _named(say: Say) -> Say:
    return lambda table: say(f"{'gold':8} {table}")
