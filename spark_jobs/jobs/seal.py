"""Seal a cut: fold up to the last recorded batch, open the next segment, wait until bronze has reached it."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime

from contracts.algebra import Algebra, connect
from contracts.errors import RulesChanged, RunInvalid
from contracts.names import covers, load_offsets
from contracts.semantics import semantics_hash
from contracts.settings import Settings
from speed_layer import failpoints
from speed_layer.store import Cut, Reader, Store
from speed_layer.store.delta_log import commits
from speed_layer.store.runs import RunCut, Runs

BRONZE = "bronze.events"
_POLL_SECONDS = 0.5


def seal(
    settings: Settings,
    store: Store,
    run_id: str,
    now: datetime,
    *,
    wait_seconds: float = 300,
    waiting: Callable[[str], None] = lambda _: None,
) -> RunCut:
    """Seal run `run_id` (again: the same cut) and write it down.

    Raises `RunInvalid` where there is nothing to seal, the generation has not caught up, or bronze stays behind.
    """
    algebra, con = Algebra.of(settings.rules), connect()
    with store.write() as writer:
        generation = _generation(writer)
        cut = writer.cut(run_id) or writer.seal(run_id, generation, lambda m, p: algebra.combine(con, m, p), now)
        owner = writer.generation(cut.generation)
        log = next(k for k in writer.logs() if k.number == owner.log)
        failpoints.reach("seal.in_commit")
    failpoints.reach("seal.after_commit")
    version = _bronze_version(settings, log.number, cut, wait_seconds, waiting)
    with store.write() as writer:
        writer.set_bronze_version(run_id, version)
    sealed = RunCut(
        run_id,
        log.number,
        log.topic_id,
        dict(cut.offsets),
        cut.generation,
        cut.segment,
        cut.batch,
        cut.semantics_hash,
        version,
        cut.sealed_at.isoformat(),
    )
    Runs(settings).write_cut(sealed)
    return sealed


def check_rules(settings: Settings, cut: RunCut) -> None:
    """Raise `RulesChanged` where the code that builds is not the code that ran live."""
    if cut.semantics_hash != semantics_hash(settings.rules):
        raise RulesChanged(
            f"Run {cut.run_id} was sealed under rules {cut.semantics_hash}, this code has others",
            "Run `tidemark upgrade`, or redeploy the code that runs live.",
        )


def _generation(reader: Reader) -> int:
    newest, pointer = reader.newest_generation(), reader.pointer()
    last = reader.last_progress(newest.number) if newest else None
    if newest is None or (last is None and not any(newest.start.values())):
        raise RunInvalid("Nothing was read live yet, so there is nothing to seal", "Start it with `tidemark up`.")
    reached = last.to_offsets if last else newest.start
    is_same_log = pointer is not None and reader.generation(pointer.generation).log == newest.log
    if pointer and is_same_log and not covers(reached, pointer.offsets):
        raise RunInvalid(
            f"Generation {newest.number} has not caught up with the published cut yet",
            "Wait until `tidemark status` says it has.",
        )
    return newest.number


def _bronze_version(
    settings: Settings,
    log: int,
    cut: Cut,
    wait_seconds: float,
    waiting: Callable[[str], None],
) -> int:
    """The oldest bronze version that holds the whole cut, waiting for it."""
    path, until = settings.table_path(BRONZE), time.monotonic() + wait_seconds
    while True:
        whole, reached = _oldest_whole(path, log, cut)
        if whole is not None:
            return whole
        if time.monotonic() > until:
            raise RunInvalid(
                f"Bronze has reached {reached}, the cut is {dict(cut.offsets)}",
                "Start bronze (`tidemark up`), then seal the same run again.",
            )
        waiting(f"bronze at {reached}, cut at {dict(cut.offsets)}")
        time.sleep(_POLL_SECONDS)


def _oldest_whole(path: str, log: int, cut: Cut) -> tuple[int | None, dict[int, int]]:
    """The oldest version that holds the cut, and how far the newest one reaches."""
    whole, reached = None, dict[int, int]()
    for commit in commits(path):
        if commit.metadata.get("log") == log:
            to = load_offsets(commit.metadata["to"])
            reached = reached or to
            if not covers(to, cut.offsets):
                break
            whole = commit.version
    return whole, reached
