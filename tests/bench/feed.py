"""Simulated history into Kafka, as a process of its own: `python -m tests.bench.feed BOOTSTRAP HOME SOURCE FIRST LAST`.

Sends the messages FIRST (inclusive) to LAST (exclusive) of SOURCE through the entrance, as fast as it can.
"""

from __future__ import annotations

import sys
from itertools import islice
from pathlib import Path

from infra.local.processes import spawn
from speed_layer.attribute_keys import installation_keys
from speed_layer.replay import open_source
from speed_layer.replay.pump import Pump
from tests.bench.stack import Stack

WORLDS = 2


def feed(s: Stack, events: int, days: int, first: float, last: float) -> None:
    """The part `[first, last)` (shares of 1) of `events` messages over `days`: two worlds, a process each.

    Raises `RuntimeError` where one fails.
    """
    each = events // WORLDS
    command = [sys.executable, "-m", "tests.bench.feed", s.settings.bootstrap, str(s.settings.home)]
    part = [str(int(each * first)), str(int(each * last) if last < 1 else 10 * events)]
    worlds = [f"sim:seed={seed},days={days},events_target={each}" for seed in range(1, WORLDS + 1)]
    running = [spawn([*command, world, *part]) for world in worlds]
    if any(process.wait() for process in running):
        raise RuntimeError("a feeder failed")


if __name__ == "__main__":
    to, folder, source, begin, end = sys.argv[1:]
    messages = islice(open_source(source).messages(), int(begin), int(end))
    Pump(to, installation_keys(Path(folder))).run(messages)
