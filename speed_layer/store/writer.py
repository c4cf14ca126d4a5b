"""Publishing: which run answers are made of, and what may be forgotten."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete, func, insert, select, update

from contracts.errors import NotPublished, RulesChanged, RunInvalid
from speed_layer.store import schema as s
from speed_layer.store.folding import Folder
from speed_layer.store.records import Cut, Generation, Log, Published


class Writer(Folder):
    """Everything that can be written. Belongs to one `store.write()`, whose end commits it all."""

    def set_bronze_version(self, run_id: str, version: int) -> None:
        """Write down the bronze version that has reached the run's cut. Raises `RunInvalid` for an unknown run."""
        self._sealed(run_id)
        self.connection.execute(update(s.cuts).where(s.cuts.c.run_id == run_id).values(bronze_version=version))

    def publish(
        self, run_id: str, manifest_path: str, now: datetime, *, semantics_hash: str | None = None
    ) -> Published:
        """Point at a sealed run, retire the generations before its own, and drop what no answer can need any more.

        Kept are the segments behind the cuts of this run and the one published before it. `semantics_hash` is gold's.
        Publishing the run that is published already changes nothing. Raises `RulesChanged` where gold, cut and
        generation were not made with the same rules; `RunInvalid` where the run is unknown, behind the published one,
        or its generation retired.
        """
        current = self.pointer()
        if current and current.run_id == run_id:
            return current
        cut = self._sealed(run_id)
        self._may_publish(cut, current, semantics_hash)
        self._point(cut, manifest_path, now, current.run_id if current else None)
        self.set_generation_state(cut.generation, "active")
        self._retire_before(cut.generation)
        self._drop_unneeded()
        return self._current()

    def adopt(self, generation: int) -> bool:
        """Let the answer go on with a generation that has caught up: same run, same cut, its partials.

        True where it did; False where the published run is no longer the one the generation is anchored to (then the
        next publish takes it up). Raises `RulesChanged` where run and generation were made with different rules.
        """
        new, current = self.generation(generation), self.pointer()
        if (current.run_id if current else None) != new.anchor_run:
            return False
        if current:
            if current.semantics_hash != new.semantics_hash:
                raise RulesChanged(
                    f"Run {current.run_id} and generation {generation} were made with different rules",
                    "Run `tidemark upgrade`.",
                )
            moved = update(s.cuts).where(s.cuts.c.run_id == current.run_id)
            # Offsets are those of the generation's own log: of another one the run holds nothing yet.
            is_same_log = self.generation(current.generation).log == new.log
            offsets = current.offsets if is_same_log else new.start
            self.connection.execute(moved.values(generation=generation, segment=0, batch=-1, offsets=offsets))
        self.set_generation_state(generation, "active")
        self._retire_before(generation)
        if current:
            self._drop_unneeded()
        return True

    def rollback(self, now: datetime) -> Published:
        """Point back at the run published before the present one.

        Raises `NotPublished` where none is published, `RulesChanged` where the earlier run was made with other rules,
        `RunInvalid` where there is none, its generation has ended, or its segments are dropped.
        """
        current = self._current()
        target = next((p for p in self.published() if p.run_id == current.previous), None)
        if target is None:
            raise RunInvalid(f"No run was published before {current.run_id}", "Publish a new run instead.")
        if target.semantics_hash != current.semantics_hash:
            raise RulesChanged(
                f"Run {target.run_id} was made with rules {target.semantics_hash}, {current.run_id} with others",
                "Redeploy the old code: a change of the rules back.",
            )
        if target.generation != current.generation:
            raise RunInvalid(
                f"Run {target.run_id} belongs to generation {target.generation}, which no longer runs",
                "Build and publish a new run on the generation that is live.",
            )
        gone = [g.number for g in self.segments(target.generation) if g.number > target.segment and g.is_dropped]
        if gone:
            raise RunInvalid(
                f"The segments {gone} behind the cut of run {target.run_id} are dropped",
                "Publish a new run instead; a rollback goes back one run.",
            )
        self._swap(target.run_id, now)
        return target

    def restore(self, run: Published, log: Log, now: datetime, reason: str) -> Generation:
        """Point at a run known from its manifest, in a store that has lost it, and start a generation at its cut.

        The new generation is active and numbered above `run.generation` and above every other in the store; those are
        retired. The pointer then names the new generation, with `batch` -1 and an empty segment 0 behind the cut.
        Raises `RunInvalid` where something is published, or the log's number or topic id is taken by another.
        """
        if self.pointer() or self.cut(run.run_id):
            raise RunInvalid(
                f"This store is not a lost one: it knows run {run.run_id} or another published run",
                "Use `tidemark rollback` or publish a run; to restore, begin with an empty store.",
            )
        self._same_log(log)
        newest = self.newest_generation()
        number = max(run.generation, newest.number if newest else 0) + 1
        generation = Generation(
            number, log.number, dict(run.offsets), run.semantics_hash, run.run_id, "active", now, reason
        )
        self.insert_generation(generation)
        cut = Cut(run.run_id, number, 0, -1, generation.start, run.semantics_hash, None, now)
        self.insert_cut(cut)
        self._point(cut, run.manifest_path, run.published_at, None)
        self._retire_before(number)
        return generation

    def _may_publish(self, cut: Cut, current: Published | None, gold_hash: str | None) -> None:
        owner = self.generation(cut.generation)
        hashes = {owner.semantics_hash, cut.semantics_hash, gold_hash or cut.semantics_hash}
        if len(hashes) > 1:
            raise RulesChanged(
                f"Run {cut.run_id} mixes rules: {', '.join(sorted(hashes))}",
                "Build the run again with the code that runs live.",
            )
        if owner.state == "retired":
            raise RunInvalid(
                f"Run {cut.run_id} was sealed on generation {owner.number}, which is retired",
                "Seal and build a new run on the generation that is live.",
            )
        if current and current.generation == cut.generation and cut.segment <= current.segment:
            raise RunInvalid(
                f"Run {cut.run_id} was sealed before the published run {current.run_id}",
                "Use `tidemark rollback` to go back, or publish a newer run.",
            )

    def _same_log(self, log: Log) -> None:
        known = next((k for k in self.logs() if k.number == log.number or k.topic_id == log.topic_id), None)
        if known is None:
            self.insert_log(log)
        elif (known.number, known.topic_id) != (log.number, log.topic_id):
            raise RunInvalid(
                f"Log {known.number} of this store is topic id {known.topic_id}, the manifest's log {log.number} is "
                f"{log.topic_id}",
                "Begin with an empty store.",
            )

    def _point(self, cut: Cut, manifest_path: str, now: datetime, previous: str | None) -> None:
        """Write down a published run and swap the pointer. A run that was rolled back from may come again."""
        self.connection.execute(delete(s.pointer))
        self.connection.execute(delete(s.published).where(s.published.c.run_id == cut.run_id))
        sequence = self._number(select(func.max(s.published.c.sequence))) + 1
        values = {"sequence": sequence, "manifest_path": manifest_path, "published_at": now, "previous": previous}
        self.connection.execute(insert(s.published).values(run_id=cut.run_id, **values))
        self._swap(cut.run_id, now)

    def _swap(self, run_id: str, now: datetime) -> None:
        self.connection.execute(delete(s.pointer))
        self.connection.execute(insert(s.pointer).values(id=1, run_id=run_id, moved_at=now))

    def _retire_before(self, generation: int) -> None:
        older = s.generations.c.number < generation
        self.connection.execute(update(s.generations).where(older).values(state="retired"))

    def _drop_unneeded(self) -> None:
        """Drop the segments that neither the published run nor the one before it needs; live progress stays."""
        current = self._current()
        kept = [p for p in self.published() if p.run_id in (current.run_id, current.previous)]
        for generation in self.generations():
            behind = [p.segment for p in kept if p.generation == generation.number]
            if behind:
                self._drop_segments(generation.number, up_to=min(behind))
            elif generation.state == "retired":
                self._drop_segments(generation.number, up_to=None)
                self.connection.execute(delete(s.progress).where(s.progress.c.generation == generation.number))

    def _drop_segments(self, generation: int, up_to: int | None) -> None:
        for segment in self.segments(generation):
            if not segment.is_dropped and (up_to is None or segment.number <= up_to):
                mine = s.segments.c.generation == generation
                held = s.blocks.c.generation == generation
                self.connection.execute(delete(s.blocks).where(held, s.blocks.c.segment == segment.number))
                one = update(s.segments).where(mine, s.segments.c.number == segment.number)
                self.connection.execute(one.values(is_dropped=True))

    def _current(self) -> Published:
        current = self.pointer()
        if current is None:
            raise NotPublished("No run is published", "Run `tidemark nightly`, or wait for the scheduled run.")
        return current

    def _sealed(self, run_id: str) -> Cut:
        cut = self.cut(run_id)
        if cut is None:
            raise RunInvalid(f"No cut was sealed for run {run_id}", "Seal the run first.")
        return cut
