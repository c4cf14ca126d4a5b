"""Which generation of partials the live query continues, and when it has to begin a new one."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from contracts.errors import CheckpointLost, RulesChanged, StoreUnavailable, TopicRecreated
from contracts.names import Offsets, covers
from contracts.settings import Settings
from contracts.topics import EVENTS
from speed_layer.store import Generation, State, Store, Writer
from speed_layer.store.reader import Reader
from speed_layer.store.runs import Runs
from speed_layer.topics import Topics, check_held

RECREATED_REMEDY = "Publish what the old topic held with `tidemark nightly`, then run `tidemark generations new`."
_MARK = "generation.json"
_SEEN = "seen"


@dataclass(frozen=True, slots=True)
class Running:
    """A generation and how to run it: reading begins at `generation.start`, counting at `counts_from`."""

    generation: Generation
    counts_from: dict[int, int]
    checkpoint: Path

    @property
    def seen(self) -> Path:
        """Where it remembers the keys that it has seen."""
        return self.checkpoint / _SEEN


def check_topic(topics: Topics, topic_id: str) -> None:
    """Raise `TopicRecreated` where the events' topic is not the one of this id."""
    if topics.topic_id(EVENTS.name) != topic_id:
        raise TopicRecreated(f"Topic {EVENTS.name} was deleted and created again", RECREATED_REMEDY)


def counts_from(reader: Reader, generation: Generation) -> dict[int, int]:
    """Where the generation's partials begin: below lies only the warm-up of its deduplication."""
    note = reader.note(f"counts_from:{generation.number}")
    return {int(p): o for p, o in json.loads(note).items()} if note else dict(generation.start)


def check_not_lost(reader: Reader, settings: Settings) -> None:
    """Raise `StoreUnavailable` where runs were published but the store is empty: to begin anew would forget them."""
    if not reader.logs() and (manifests := Runs(settings).manifests()):
        raise StoreUnavailable(
            f"The speed store is empty, but run {manifests[0].cut.run_id} was published",
            "Run `tidemark recover`, or restore the store.",
        )


def checkpoint_folder(settings: Settings, generation: Generation) -> Path:
    """Where the live query of this generation keeps its checkpoint."""
    return settings.home / "checkpoints" / "live" / f"g{generation.number}"


def to_run(store: Store, topics: Topics, settings: Settings, semantics_hash: str, now: datetime) -> Running:
    """The generation to run: the newest, or the first one ever, or a new one where the checkpoint is lost.

    Raises `RulesChanged` where the newest was made with other rules, `TopicRecreated` where its topic is another,
    `StoreUnavailable` where the store was lost.
    """
    topic_id = topics.topic_id(EVENTS.name)
    with store.read() as reader:
        check_not_lost(reader, settings)
        newest = reader.newest_generation()
        log = next((k for k in reader.logs() if newest and k.number == newest.log), None)
        is_cold = newest is not None and _is_cold(reader, newest)
    if newest is None:
        return begin(store, topics, settings, semantics_hash, now, "first generation")
    if log is None or log.topic_id != topic_id:
        raise TopicRecreated(
            f"Topic {EVENTS.name} is not the one generation {newest.number} read: it was deleted and created again",
            RECREATED_REMEDY,
        )
    if newest.semantics_hash != semantics_hash:
        raise RulesChanged(
            f"Generation {newest.number} was made with rules {newest.semantics_hash}, this code has {semantics_hash}",
            "Run `tidemark upgrade` to rebuild at the published cut and begin a generation, or redeploy the old code.",
        )
    if is_cold:
        return begin(store, topics, settings, semantics_hash, now, f"warm-up of generation {newest.number}")
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
) -> Running:
    """Start the next generation at the published cut, or at the log's beginning where nothing of it is published.

    Its deduplication warms up on one horizon before the cut. Raises `RecordsLost` where Kafka no longer holds what
    follows the cut, `TopicRecreated` where what was read of an earlier topic is not published.
    """
    topics.ensure(EVENTS, settings.partitions)
    topic_id = topics.topic_id(EVENTS.name)
    with store.read() as reader:
        pointer, newest = reader.pointer(), reader.newest_generation()
        _check_published(reader, topic_id)
        published = published_cut(reader, topic_id)
    cut = {p: published.get(p, 0) for p in topics.partitions(EVENTS.name)}
    check_held(topics.beginnings(EVENTS.name), cut)
    start = _warm_up_start(topics, settings, cut, now) if any(cut.values()) else dict(cut)
    with store.write() as writer:
        log = writer.register_log(EVENTS.name, topic_id, now)
        state: State = "catching_up" if newest else "active"
        anchor = pointer.run_id if pointer else None
        made = writer.create_generation(log.number, start, semantics_hash, anchor, state, now, reason)
        writer.set_note(f"counts_from:{made.number}", json.dumps(cut))
        if pointer:
            writer.begin_behind_cut(made.number)
    return _continue(store, settings, made)


def published_cut(reader: Reader, topic_id: str) -> Offsets:
    """Where the published run ends in this topic: at the beginning where it is of an earlier topic, or none is."""
    pointer, log = reader.pointer(), reader.log_of(topic_id)
    is_of_it = pointer and log and reader.generation(pointer.generation).log == log.number
    return pointer.offsets if pointer and is_of_it else {}


def _check_published(reader: Reader, topic_id: str) -> None:
    newest = reader.newest_generation()
    old = next((k for k in reader.logs() if newest and k.number == newest.log), None)
    if newest is None or old is None or old.topic_id == topic_id:
        return
    last = reader.last_progress(newest.number)
    if last and not covers(published_cut(reader, old.topic_id), last.to_offsets):
        raise TopicRecreated(
            f"Topic {EVENTS.name} was deleted and created again, and what was read of the old one is not published",
            RECREATED_REMEDY,
        )


def _is_cold(reader: Reader, generation: Generation) -> bool:
    """Whether it was restored from a manifest: without Kafka, so nothing says where its deduplication warms up."""
    is_restored = generation.anchor_run is not None and reader.note(f"counts_from:{generation.number}") is None
    return is_restored and reader.last_progress(generation.number) is None


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
        if begun and not any((folder / _SEEN).glob("[0-9]*")):
            raise CheckpointLost(f"The checkpoint of generation {generation.number} has lost the keys it has seen", "")
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
