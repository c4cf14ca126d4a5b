"""Kafka must keep records long enough for a new generation to warm up and for bronze to catch up."""

from __future__ import annotations

from contracts.errors import SettingInvalid
from contracts.settings import Settings
from contracts.topics import EVENTS
from speed_layer.topics import Topics


def check_retention(topics: Topics, settings: Settings) -> None:
    """Raise `SettingInvalid` where the topic's retention does not cover the horizon and three publish intervals."""
    retention_ms = topics.retention_ms(EVENTS.name)
    needed_ms = (settings.dedupe_horizon_seconds + 3 * settings.publish_interval_seconds) * 1000
    if 0 <= retention_ms < needed_ms:
        raise SettingInvalid(
            f"Topic {EVENTS.name} keeps records for {retention_ms} ms; the rules need {needed_ms} ms",
            f"Set the topic's retention.ms to {needed_ms} or more, or shorten the horizon or the publish interval.",
        )
