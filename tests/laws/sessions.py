"""Sessions cut by hand, and the cases that decide what a session is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import pyarrow as pa

from contracts.fields import EVENT

GAP_SECONDS: Final = 1800
GAP: Final = GAP_SECONDS * 1_000_000
START: Final = 1_709_248_800_000_000  # 2024-02-29 23:20 UTC: a day ends inside the first sessions

# Moments of one visitor's events, microseconds after START -> its sessions as (first, last, events).
CASES: Final[Mapping[str, tuple[tuple[int, ...], tuple[tuple[int, int, int], ...]]]] = {
    "one event": ((0,), ((0, 0, 1),)),
    "exactly the gap": ((0, GAP), ((0, GAP, 2),)),
    "a microsecond below": ((0, GAP - 1), ((0, GAP - 1, 2),)),
    "a microsecond above": ((0, GAP + 1), ((0, 0, 1), (GAP + 1, GAP + 1, 1))),
    "a millisecond above": ((0, GAP + 1000), ((0, 0, 1), (GAP + 1000, GAP + 1000, 1))),
    "a chain of exact gaps": ((0, GAP, 2 * GAP, 3 * GAP), ((0, 3 * GAP, 4),)),
    "a bridge that comes last": ((0, 2 * GAP, GAP), ((0, 2 * GAP, 3),)),
    "no bridge": ((0, 2 * GAP + 1, GAP), ((0, GAP, 2), (2 * GAP + 1, 2 * GAP + 1, 1))),
    "one instant": ((5, 5, 5), ((5, 5, 3),)),
    "one instant behind a gap": ((0, GAP + 1, GAP + 1), ((0, 0, 1), (GAP + 1, GAP + 1, 2))),
    "a crowd in one instant": ((0, *[GAP + 1] * 300), ((0, 0, 1), (GAP + 1, GAP + 1, 300))),
    "over midnight": ((0, 40 * 60_000_000), ((0, 0, 1), (40 * 60_000_000, 40 * 60_000_000, 1))),
    "midnight inside": ((20 * 60_000_000, 45 * 60_000_000), ((20 * 60_000_000, 45 * 60_000_000, 2),)),
}
Session = tuple[str, int, int, int]


def by_hand(moments: Iterable[tuple[str, int]], gap: int = GAP) -> list[Session]:
    """Sessions (visitor, first, last, events) of (visitor, moment) pairs, by the loop anyone would write."""
    found: list[Session] = []
    for visitor, moment in sorted(moments):
        if found and found[-1][0] == visitor and moment - found[-1][2] <= gap:
            _, first, _, events = found.pop()
            found.append((visitor, first, moment, events + 1))
        else:
            found.append((visitor, moment, moment, 1))
    return found


def cases() -> list[tuple[str, int]]:
    """The events of every case, each case a visitor of its own."""
    return [(name, START + moment) for name, (moments, _) in CASES.items() for moment in moments]


def expected() -> list[Session]:
    """The sessions of every case."""
    return sorted((name, START + a, START + z, n) for name, (_, sessions) in CASES.items() for a, z, n in sessions)


def views(moments: Iterable[tuple[str, int]]) -> pa.Table:
    """Product views at these moments, as good events."""
    columns: dict[str, Any] = {"visitor": [], "event_time": [], "event_id": []}
    for number, (visitor, moment) in enumerate(moments):
        columns["visitor"].append(visitor)
        columns["event_time"].append(moment)
        columns["event_id"].append(f"e{number}")
    size = len(columns["visitor"])
    given = columns | {"kind": ["view"] * size, "currency": ["USD"] * size, "fingerprint": ["f"] * size}
    given["is_declared_bot"] = [False] * size
    return pa.table(
        [
            pa.array(given.get(f.name, [None] * size), pa.int64()).cast(f.type)
            if f.name == "event_time"
            else pa.array(given.get(f.name, [None] * size), f.type)
            for f in EVENT
        ],
        schema=EVENT,
    )


def found_in(sessions: pa.Table) -> list[Session]:
    """The sessions of the algebra's table, as `by_hand` writes them."""
    micros = [sessions[name].cast(pa.int64()).to_pylist() for name in ("start_at", "last_at")]
    return sorted(zip(sessions["visitor"].to_pylist(), *micros, sessions["events"].to_pylist(), strict=True))
