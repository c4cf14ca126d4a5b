"""Where the two halves of an answer meet: the published run, its cut, and what has been recorded behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from contracts.errors import RulesChanged
from contracts.names import Offsets
from contracts.semantics import semantics_hash
from contracts.settings import Settings
from speed_layer.store import Block, DimensionVersion, Generation, Progress, Reader, Store, speed_part
from speed_layer.store.runs import Manifest, Runs

# A clock that runs ahead puts its events into far-off buckets; views hide those beyond this.
HIDDEN_AHEAD = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class AsOf:
    """What an answer is made of. Every answer carries it.

    `cut` ends the batch half, `offsets` the speed half; both are exclusive offset vectors of `log`.
    `dimensions` are the versions of catalogue, costs and rates that are joined.
    `batch_through` is when the cut was sealed, `live_through` the clock of the last micro-batch, both UTC.
    """

    run_id: str | None
    generation: int | None
    batch: int | None
    log: int | None
    cut: Offsets
    offsets: Offsets
    batch_through: datetime | None
    live_through: datetime | None
    semantics_hash: str | None
    dimensions: Mapping[str, DimensionVersion] = field(default_factory=dict)

    @property
    def moment(self) -> datetime:
        """The later of the two halves' times; views hide what lies more than a day ahead of it."""
        known = [t for t in (self.batch_through, self.live_through) if t is not None]
        return max(known, default=datetime.fromtimestamp(0, UTC))

    def to_json(self) -> dict[str, object]:
        """For answers: times as ISO 8601, offsets by partition."""
        return {
            "run_id": self.run_id,
            "generation": self.generation,
            "batch": self.batch,
            "log": self.log,
            "cut": {str(p): o for p, o in sorted(self.cut.items())},
            "offsets": {str(p): o for p, o in sorted(self.offsets.items())},
            "batch_through": _iso(self.batch_through),
            "live_through": _iso(self.live_through),
            "semantics_hash": self.semantics_hash,
            "dimensions": {name: held.version for name, held in sorted(self.dimensions.items())},
        }


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One consistent state: the published run, if any, and the blocks behind its cut.

    `is_fresh` says that `blocks` are all there are; otherwise they follow what the caller holds.
    """

    as_of: AsOf
    manifest: Manifest | None
    blocks: list[Block]
    is_fresh: bool


def take(store: Store, settings: Settings, held: AsOf | None = None) -> Snapshot:
    """Read pointer, partials, manifest and the dimensions' versions in one snapshot of the store.

    With `held`, only the blocks of batches after it, where the run and generation are still the same.
    Raises `RulesChanged` where gold, generation and this code do not have the same rules.
    """
    with store.read() as reader:
        dimensions = reader.dimensions()
        if held and held.generation is not None and held.batch is not None and _is_same(reader, held):
            progress = reader.last_progress(held.generation)
            if (progress.batch if progress else -1) == held.batch:
                return Snapshot(replace(held, dimensions=dimensions), None, [], is_fresh=False)
            newer = reader.blocks_since(held.generation, held.batch)
            if newer is not None:
                return Snapshot(replace(_moved(held, progress), dimensions=dimensions), None, newer, is_fresh=False)
        part = speed_part(reader)
    manifest = Runs(settings).manifest(part.pointer.run_id) if part.pointer else None
    made_with = {part.generation.semantics_hash} if part.generation else set()
    made_with |= {manifest.cut.semantics_hash} if manifest else set()
    if made_with - {semantics_hash(settings.rules)}:
        raise RulesChanged(
            f"The stored answer was made with rules {', '.join(sorted(made_with))}, this code has others",
            "Run `tidemark upgrade` to rebuild with this code, or redeploy the code that made it.",
        )
    as_of = replace(_as_of(part.generation, part.progress, manifest), dimensions=dimensions)
    return Snapshot(as_of, manifest, part.blocks, is_fresh=True)


def _is_same(reader: Reader, held: AsOf) -> bool:
    """Whether answers are still made of the held run and generation."""
    pointer = reader.pointer()
    if pointer:
        return (pointer.run_id, pointer.generation) == (held.run_id, held.generation)
    active = [g.number for g in reader.generations() if g.state == "active"]
    return held.run_id is None and active[-1:] == [held.generation]


def _as_of(generation: Generation | None, last: Progress | None, manifest: Manifest | None) -> AsOf:
    # Of a topic that was created again, the run holds nothing yet: it is whole for the earlier one.
    is_same_log = manifest and (generation is None or generation.log == manifest.cut.log)
    cut = dict(manifest.cut.offsets) if manifest and is_same_log else {}
    return AsOf(
        manifest.cut.run_id if manifest else None,
        generation.number if generation else None,
        last.batch if last else -1,
        generation.log if generation else None,
        cut,
        dict(last.to_offsets) if last else cut,
        datetime.fromisoformat(manifest.cut.sealed_at) if manifest else None,
        _clock(last),
        generation.semantics_hash if generation else None,
    )


def _moved(held: AsOf, last: Progress | None) -> AsOf:
    if last is None:
        return held
    return replace(held, batch=last.batch, offsets=dict(last.to_offsets), live_through=_clock(last))


def _clock(progress: Progress | None) -> datetime | None:
    return datetime.fromtimestamp(progress.batch_time_ms / 1000, UTC) if progress else None


def _iso(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z") if moment else None
