"""What is wrong with an installation, in plain words and with the remedy: a pure function of its status."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

_LATE_FACTOR: Final = 1.5
_UPGRADE: Final = "Run `tidemark upgrade` to rebuild with this code, or redeploy the code that made it."

Found = Mapping[str, Any]


def warnings(found: Found, publish_interval_seconds: float) -> list[str]:
    """One sentence or two for each fault, the remedy last."""
    checks = (_store, _rules, _published, _generations, _topic, _holes, _processes)
    said = [text for check in checks for text in check(found)]
    pointer = found["pointer"]
    if pointer and pointer["age_seconds"] > _LATE_FACTOR * publish_interval_seconds:
        hours = pointer["age_seconds"] / 3600
        said.append(f"The published run is {hours:.1f} hours old. Run `tidemark nightly`.")
    return said


def _store(found: Found) -> Iterator[str]:
    if not found["store"]["available"]:
        yield f"{found['store']['error']}. {found['store']['remedy']}"


def _rules(found: Found) -> Iterator[str]:
    code = found["rules"]["code"]
    for part in ("published", "live"):
        made_with = found["rules"][part]
        if made_with and made_with != code:
            what = "published run" if part == "published" else "live generation"
            yield f"The {what} was made with rules {made_with}, this code has {code}. {_UPGRADE}"


def _published(found: Found) -> Iterator[str]:
    pointer = found["pointer"]
    if pointer and "manifest_error" in pointer:
        yield f"The published run's manifest cannot be read: {pointer['manifest_error']}. Run `tidemark recover`."


def _generations(found: Found) -> Iterator[str]:
    for g in found["generations"]:
        if g["state"] == "catching_up":
            why = f"Generation {g['number']} is catching up and does not answer yet ({g['reason']})."
            yield f"{why} Wait for a publish."


def _topic(found: Found) -> Iterator[str]:
    topic_id = found["kafka"]["topic_id"]
    known = {log["topic_id"] for log in found["logs"]}
    if topic_id and known and topic_id not in known:
        yield "The topic was deleted and created again. Run `tidemark nightly`, then `tidemark generations new`."


def _holes(found: Found) -> Iterator[str]:
    """Parts that have read further than what they read from."""
    ends = found["kafka"]["ends"]
    pointer, bronze = found["pointer"], found["bronze"]
    live: dict[Any, int] = next((g["offsets"] for g in reversed(found["generations"]) if g["state"] != "retired"), {})
    if ends and any(offset > ends.get(p, 0) for p, offset in live.items()):
        yield "Kafka ends before what live has read: it lost records. Run `tidemark doctor`."
    if pointer and bronze is None:
        yield "A run is published, but bronze is missing. Restore the warehouse: only it holds every record."


def _processes(found: Found) -> Iterator[str]:
    for process in found.get("processes", ()):
        if process.get("state") in ("failed", "backing_off"):
            remedy = process.get("remedy") or f"Look at {process.get('log', 'its log')}."
            yield f"The process {process['name']} has {process['state'].replace('_', ' ')}. {remedy}"
