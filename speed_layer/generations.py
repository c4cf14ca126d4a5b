"""Which generation of partials the live query continues, and when it has to begin a new one."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from contracts.errors import CheckpointLost, RulesChanged, TopicRecreated
from contracts.names import Offsets, covers
from contracts.settings import Settings
from contracts.topics import EVENTS
from speed_layer.store import Generation, State, Store, Writer
from speed_layer.store.reader import Reader
from speed_layer.topics import Topics

_MARK = "generation.json"


@dataclass(frozen=True, slots=True)
class Running:
    """A generation and how to run it: reading begins at `generation.start`, counting at `counts_from`."""

    generation: Generation
    counts_from: dict[int, int]
    checkpoint: Path


def counts_from(reader: Reader, generation: Generation) -> dict[int, int]:
    """Where the generation's partials begin: below lies only the warm-up of its deduplication."""
    note = reader.note(f"counts_from:{generation.number}")
    return {int(p): o for p, o in json.loads(note).items()} if note else dict(generation.start)


def checkpoint_folder(settings: Settings, generation: Generation) -> Path:
    """Where the live query of this generation keeps its checkpoint."""
    return settings.home / "checkpoints" / "live" / f"g{generation.number}"


def to_run(store: Store, topics: Topics, settings: Settings, semantics_hash: str, now: datetime) -> Running:
    """The generation to run: the newest, or the first one ever, or a new one where the checkpoint is lost.

    Raises `RulesChanged` where the newest was made with other rules, `TopicRecreated` where its topic is another.
    """
    topic_id = topics.topic_id(EVENTS.name)
    with store.read() as reader:
        newest = reader.newest_generation()
        log = next((k for k in reader.logs() if newest and k.number == newest.log), None)
    if newest is None:
        return begin(store, topics, settings, semantics_hash, now, "first generation")
    if log is None or log.topic_id != topic_id:
        raise TopicRecreated(
            f"Topic {EVENTS.name} is not the one generation {newest.number} read: it was deleted and created again",
            "Publish what the old topic held with `tidemark nightly`, then run `tidemark generations new`.",
        )
    if newest.semantics_hash != semantics_hash:
        raise RulesChanged(
            f"Generation {newest.number} was made with rules {newest.semantics_hash}, this code has {semantics_hash}",
            "Run `tidemark upgrade` to rebuild at the published cut and begin a generation, or redeploy the old code.",
        )
    try:
        return _continue(store, settings, newest)
    except CheckpointLost as lost:
        return begin(store, topics, settings, semantics_hash, now, str(lost))


def begin(
    store: Store,
    topics: Topics,
    settings: Settings,
    semantics_hash: str,
    now: datetime,
    reason: str,
    counted: Offsets | None = None,
) -> Running:
    """Start the next generation at the published cut (`counted`), or at the log's beginning where nothing is published.

    Its deduplication warms up on one horizon before the cut.
    """
    topics.ensure(EVENTS, settings.partitions)
    with store.read() as reader:
        pointer, newest = reader.pointer(), reader.newest_generation()
    partitions = topics.partitions(EVENTS.name)
    cut = counted if counted is not None else (pointer.offsets if pointer else {})
    cut = {p: cut.get(p, 0) for p in partitions}
    start = _warm_up_start(topics, settings, cut, now) if any(cut.values()) else dict(cut)
    with store.write() as writer:
        log = writer.register_log(EVENTS.name, topics.topic_id(EVENTS.name), now)
        state: State = "catching_up" if newest else "active"
        anchor = pointer.run_id if pointer else None
        made = writer.create_generation(log.number, start, semantics_hash, anchor, state, now, reason)
        writer.set_note(f"counts_from:{made.number}", json.dumps(cut))
        if pointer:
            writer.begin_behind_cut(made.number)
    return _continue(store, settings, made)


def _warm_up_start(topics: Topics, settings: Settings, cut: Offsets, now: datetime) -> dict[int, int]:
    since = topics.first_since(EVENTS.name, int(now.timestamp() * 1000) - settings.dedupe_horizon_seconds * 1000)
    beginnings = topics.beginnings(EVENTS.name)
    return {p: max(min(offset, since.get(p, offset)), beginnings.get(p, 0)) for p, offset in cut.items()}


def _continue(store: Store, settings: Settings, generation: Generation) -> Running:
    folder = checkpoint_folder(settings, generation)
    with store.read() as reader:
        begun = reader.last_progress(generation.number) is not None
        counted = counts_from(reader, generation)
    _check_mark(folder, generation, begun=begun)
    return Running(generation, counted, folder)


def _check_mark(folder: Path, generation: Generation, *, begun: bool) -> None:
    """A checkpoint belongs to one generation of one store: a mark in it says which."""
    mark = {"generation": generation.number, "created_at": generation.created_at.isoformat()}
    path = folder / _MARK
    if path.exists() and json.loads(path.read_text()) == mark:
        if begun and not any((folder / "offsets").glob("[0-9]*")):
            raise CheckpointLost(f"The checkpoint of generation {generation.number} has lost its offset log", "")
        return
    if begun:
        raise CheckpointLost(f"The checkpoint of generation {generation.number} is missing", "")
    if folder.exists():
        folder.rename(folder.with_name(f"{folder.name}.stale-{int(folder.stat().st_mtime)}"))
    folder.mkdir(parents=True)
    path.write_text(json.dumps(mark))


def adopt_when_caught_up(writer: Writer, running: Running, reached: Offsets) -> bool:
    """Let answers go on with this generation once it has come as far as the one before; True when they now do."""
    number = running.generation.number
    if writer.generation(number).state != "catching_up":
        return False
    log = running.generation.log
    before = [writer.last_progress(g.number) for g in writer.generations() if g.number < number and g.log == log]
    targets = [running.counts_from, *(p.to_offsets for p in before if p is not None)]
    return all(covers(reached, target) for target in targets) and writer.adopt(number)
