"""Doctor's checks of the state itself: store, checkpoint against store, published tables, Kafka's retention."""

from __future__ import annotations

from collections.abc import Callable

from contracts.errors import TidemarkError
from contracts.semantics import semantics_hash
from contracts.settings import Settings
from contracts.topics import EVENTS
from infra.doctor import Check
from serving.merge import check_whole
from speed_layer.checkpoint import Checkpoint
from speed_layer.generations import checkpoint_folder
from speed_layer.store import open_store
from speed_layer.store.runs import Runs


def state_checks(settings: Settings) -> list[Callable[[], Check]]:
    """The checks, for `doctor.run_checks`."""
    return [lambda: _store(settings), lambda: _checkpoint(settings), lambda: _published(settings)]


def _store(settings: Settings) -> Check:
    try:
        with open_store(settings.store, create=False).read() as reader:
            newest = reader.newest_generation()
    except TidemarkError as error:
        return Check("store", False, str(error), error.remedy or "Start Tidemark once, or run `tidemark recover`.")
    if newest and newest.semantics_hash != semantics_hash(settings.rules):
        detail = f"generation {newest.number} was made with rules {newest.semantics_hash}, this code has others"
        return Check("store", False, detail, "Run `tidemark upgrade`, or redeploy the old code.")
    return Check("store", True, f"generation {newest.number}" if newest else "empty", "")


def _checkpoint(settings: Settings) -> Check:
    try:
        with open_store(settings.store, create=False).read() as reader:
            newest = reader.newest_generation()
            last = reader.last_progress(newest.number) if newest else None
    except TidemarkError:
        return Check("checkpoint", True, "no store to compare with", "")
    if newest is None or last is None:
        return Check("checkpoint", True, "nothing recorded yet", "")
    planned = Checkpoint(checkpoint_folder(settings, newest), EVENTS.name).last_planned()
    if planned is None or planned < last.batch:
        detail = f"the store has batch {last.batch}, the checkpoint {planned}"
        return Check("checkpoint", False, detail, "Start the live query: it begins a new generation, losing nothing.")
    return Check("checkpoint", True, f"batch {planned}, store {last.batch}", "")


def _published(settings: Settings) -> Check:
    try:
        with open_store(settings.store, create=False).read() as reader:
            pointer = reader.pointer()
        if pointer is None:
            return Check("published", True, "nothing published yet", "")
        check_whole(settings, Runs(settings).manifest(pointer.run_id))
    except TidemarkError as error:
        return Check("published", False, str(error), error.remedy)
    return Check("published", True, f"run {pointer.run_id} is readable", "")
