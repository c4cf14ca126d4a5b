"""The fence: a batch is recorded only where the last one ended, under the same rules, by a clock that runs forward."""

from __future__ import annotations

from contracts.errors import ClockJumped, FenceRefused, RulesChanged
from contracts.names import covers, dump_offsets, same
from speed_layer.store.records import Generation, Progress

_DRIFTED = (
    "Checkpoint and store have drifted apart: start a new generation at the published cut (`tidemark generations new`)."
)


def is_replay(recorded: Progress, batch: Progress) -> bool:
    """Whether `batch` is `recorded` once more. Raises `FenceRefused` or `RulesChanged` where it is another."""
    _same_rules(recorded.semantics_hash, batch)
    if same(recorded.from_offsets, batch.from_offsets) and same(recorded.to_offsets, batch.to_offsets):
        return True
    raise FenceRefused(
        f"Batch {batch.batch} of generation {batch.generation} was recorded as {_range(recorded)}, "
        f"and now comes as {_range(batch)}",
        _DRIFTED,
    )


def check(generation: Generation, last: Progress | None, batch: Progress, horizon_seconds: float) -> None:
    """Raise unless `batch` may follow `last` (None: nothing recorded yet).

    `FenceRefused` for number or range, `RulesChanged` for the hash, `ClockJumped` for a batch time that runs back, or
    ahead by more than half the horizon.
    """
    if generation.state == "retired":
        raise FenceRefused(
            f"Generation {generation.number} is retired", "Stop this live query; the newer generation has replaced it."
        )
    _same_rules(generation.semantics_hash, batch)
    number, start = (last.batch + 1, last.to_offsets) if last else (0, generation.start)
    if batch.batch != number:
        raise FenceRefused(
            f"Generation {generation.number} expects batch {number}, not {batch.batch}",
            _DRIFTED,
        )
    if not same(batch.from_offsets, start):
        raise FenceRefused(
            f"Batch {batch.batch} of generation {generation.number} is {_range(batch)}; "
            f"the records before it end at {dump_offsets(start)}",
            _DRIFTED,
        )
    if not covers(batch.to_offsets, batch.from_offsets):
        raise FenceRefused(f"Batch {batch.batch} ends before it begins: {_range(batch)}", _DRIFTED)
    if last:
        _clock(last, batch, horizon_seconds)


def _same_rules(semantics_hash: str, batch: Progress) -> None:
    if batch.semantics_hash != semantics_hash:
        raise RulesChanged(
            f"Generation {batch.generation} was made with rules {semantics_hash}, the code has {batch.semantics_hash}",
            "Run `tidemark upgrade` to build under the new rules, or go back to the code that made it.",
        )


def _clock(last: Progress, batch: Progress, horizon_seconds: float) -> None:
    step_ms = batch.batch_time_ms - last.batch_time_ms
    if not 0 <= step_ms <= horizon_seconds * 500:
        raise ClockJumped(
            f"Batch {batch.batch} of generation {batch.generation} is {step_ms / 1000:+.3f} s from the one before it; "
            f"0 to {horizon_seconds / 2:g} s are safe for deduplication",
            "Correct the clock of this machine if it is wrong; then start a new generation.",
        )


def _range(batch: Progress) -> str:
    return f"[{dump_offsets(batch.from_offsets)}, {dump_offsets(batch.to_offsets)})"
