"""Writing down which logs and generations there are."""

from __future__ import annotations

import json
from datetime import datetime

from sqlalchemy import delete, func, insert, select, update

from contracts.names import Offsets
from speed_layer.store import schema as s
from speed_layer.store.reader import DIMENSION, Reader
from speed_layer.store.records import DimensionVersion, Generation, Log, State


class Registry(Reader):
    """Logs, generations and notes."""

    def register_log(self, topic: str, topic_id: str, now: datetime) -> Log:
        """The log of this topic id, made where it is new: a topic created again under its name is another log."""
        known = self.log_of(topic_id)
        if known:
            return known
        number = self._number(select(func.max(s.logs.c.number))) + 1
        return self.insert_log(Log(number, topic, topic_id, now))

    def insert_log(self, log: Log) -> Log:
        """Write down a log under the number it already has (in bronze, in a manifest)."""
        values = {"number": log.number, "topic": log.topic, "topic_id": log.topic_id}
        self.connection.execute(insert(s.logs).values(**values, registered_at=log.registered_at))
        return log

    def create_generation(
        self,
        log: int,
        start: Offsets,
        semantics_hash: str,
        anchor_run: str | None,
        state: State,
        now: datetime,
        reason: str,
    ) -> Generation:
        """The next generation, with its first segment open. Its batches begin at number 0 and at `start`."""
        number = self._number(select(func.max(s.generations.c.number))) + 1
        return self.insert_generation(
            Generation(number, log, dict(start), semantics_hash, anchor_run, state, now, reason)
        )

    def insert_generation(self, generation: Generation) -> Generation:
        """Write down a generation and open its first segment."""
        values = {f: getattr(generation, f) for f in Generation.__dataclass_fields__}
        self.connection.execute(insert(s.generations).values(**values))
        self.open_segment(generation.number, 0, first_batch=0)
        return generation

    def begin_behind_cut(self, generation: int) -> None:
        """Close a new generation's first segment, empty: its batches lie behind the cut of its anchor run."""
        key = (s.segments.c.generation == generation) & (s.segments.c.number == 0)
        self.connection.execute(update(s.segments).where(key).values(last_batch=-1))
        self.open_segment(generation, 1, first_batch=0)

    def open_segment(self, generation: int, number: int, first_batch: int) -> None:
        """Begin a segment, whose batches are `first_batch` and up."""
        values = {"generation": generation, "number": number, "first_batch": first_batch, "is_dropped": False}
        self.connection.execute(insert(s.segments).values(**values))

    def set_generation_state(self, generation: int, state: State) -> None:
        """Make a generation active, catching up or retired."""
        number = self.generation(generation).number
        self.connection.execute(update(s.generations).where(s.generations.c.number == number).values(state=state))

    def set_note(self, name: str, value: str | None) -> None:
        """Leave a text under `name`, or take it away (None)."""
        self.connection.execute(delete(s.notes).where(s.notes.c.name == name))
        if value is not None:
            self.connection.execute(insert(s.notes).values(name=name, value=value))

    def set_dimension(self, name: str, given: DimensionVersion) -> None:
        """From now on answers are read with this version."""
        said = {
            "version": given.version,
            "table_id": given.table_id,
            "loaded_at": given.loaded_at.isoformat(),
        }
        self.set_note(f"{DIMENSION}{name}", json.dumps(said))
