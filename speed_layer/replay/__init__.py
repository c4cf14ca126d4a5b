"""Replay: files and simulated worlds, as the messages their clients would have sent. One adapter a format."""

from __future__ import annotations

from speed_layer.replay.message import (
    BadRow,
    ReplayError,
    ReplayFileMissing,
    ReplayFileUnreadable,
    SourceItem,
    SourceMessage,
    SourceOptionInvalid,
    SourceUnknown,
)
from speed_layer.replay.sources import SOURCE_FORMS, Rees46Source, SimulatorSource, Source, open_source

__all__ = [
    "SOURCE_FORMS",
    "BadRow",
    "Rees46Source",
    "ReplayError",
    "ReplayFileMissing",
    "ReplayFileUnreadable",
    "SimulatorSource",
    "Source",
    "SourceItem",
    "SourceMessage",
    "SourceOptionInvalid",
    "SourceUnknown",
    "open_source",
]
