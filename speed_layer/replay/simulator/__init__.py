"""A small shop world, seeded: visitors, sessions, products, campaigns, devices, bots, dirt, and the hidden truth.

A pure generator: no wall clock, no files, no network. The same config gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator

from speed_layer.replay.message import SourceMessage
from speed_layer.replay.simulator.config import SimulatorConfig
from speed_layer.replay.simulator.truth import (
    CountersTruth,
    OrderTruth,
    PersonTruth,
    SessionTruth,
    Truth,
    read_truth,
)
from speed_layer.replay.simulator.world import World, estimated_message_count

__all__ = [
    "CountersTruth",
    "OrderTruth",
    "PersonTruth",
    "SessionTruth",
    "SimulatorConfig",
    "Truth",
    "estimated_message_count",
    "read_truth",
    "simulate",
]


def simulate(config: SimulatorConfig, truth: Truth | None = None) -> Iterator[SourceMessage]:
    """The world's messages in the order of `send_at`, lazily; `truth` is complete when they are exhausted."""
    return World(config, truth or Truth()).messages()
