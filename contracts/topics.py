"""The Kafka topics and what Tidemark relies on in their settings."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic's name and the settings it is created with; `description` says what a record is."""

    name: str
    description: str
    config: dict[str, str] = field(default_factory=dict)


EVENTS = Topic(
    "events",
    "Every accepted event, key = visitor, value = envelope (JSON). Offsets are dense: any hole is a loss.",
    {
        "cleanup.policy": "delete",
        "message.timestamp.type": "LogAppendTime",
        "retention.ms": str(7 * 24 * 3600 * 1000),
        "max.message.bytes": str(4 * 1024 * 1024),
    },
)
REJECTED = Topic(
    "events.rejected",
    "Dead letters (`contracts.letters`): why something was refused, and what it was. At least once; letters have ids.",
    {"cleanup.policy": "delete", "retention.ms": str(30 * 24 * 3600 * 1000)},
)
TOPICS = (EVENTS, REJECTED)
