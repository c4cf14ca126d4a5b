"""How far bronze and Kafka reach, each asked directly, and quickly given up on."""

from __future__ import annotations

import json
import time
from typing import Any, Final

from confluent_kafka import KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from contracts.names import load_offsets
from contracts.settings import Settings
from contracts.topics import EVENTS

KAFKA_SECONDS: Final = 2.0
_BRONZE: Final = "bronze.events"
# The newest commit that carries our metadata is nearly always the newest commit.
_LOOK_AT_FIRST: Final = 10


def bronze_reach(settings: Settings, log: int | None) -> dict[str, Any] | None:
    """Bronze's version, and the exclusive ends that its commits say of `log` (None: of the newest); null without it."""
    path = settings.table_path(_BRONZE)
    try:
        if not DeltaTable.is_deltatable(path):
            return None
        table = DeltaTable(path)
        commit = _newest_commit(table, log)
    except (DeltaError, OSError, ValueError) as error:
        return {"version": None, "log": log, "offsets": {}, "committed_at_ms": None, "error": str(error)}
    said = commit["said"] if commit else {}
    return {
        "version": table.version(),
        "log": said.get("log", log),
        "offsets": {str(p): o for p, o in sorted(load_offsets(said["to"]).items())} if said else {},
        "committed_at_ms": commit["timestamp"] if commit else None,
    }


def _newest_commit(table: DeltaTable, log: int | None) -> dict[str, Any] | None:
    for limit in (_LOOK_AT_FIRST, None):
        for commit in table.history(limit):
            said = json.loads(commit.get("userMetadata") or "{}")
            if "to" in said and log in (None, said.get("log")):
                return {**commit, "said": said}
    return None


def kafka_ends(settings: Settings) -> dict[str, Any]:
    """The topic's id and exclusive ends by partition; null with a note where Kafka gives none within 2 s."""
    until = time.monotonic() + KAFKA_SECONDS
    nothing = {"topic_id": None, "ends": None}
    try:
        admin = AdminClient({"bootstrap.servers": settings.bootstrap, "log_level": 0, "socket.timeout.ms": 2000})
        described = admin.describe_topics(TopicCollection([EVENTS.name]), request_timeout=KAFKA_SECONDS)
        topic = described[EVENTS.name].result(_left(until))
        wanted = {TopicPartition(EVENTS.name, p.id): OffsetSpec.latest() for p in topic.partitions}
        found = admin.list_offsets(wanted, request_timeout=_left(until))
        ends = {tp.partition: int(future.result(_left(until)).offset) for tp, future in found.items()}
    except (KafkaException, TimeoutError) as error:
        why = error.args[0].str() if error.args and hasattr(error.args[0], "str") else "no answer"
        return {**nothing, "note": f"Kafka at {settings.bootstrap} gives no offsets within {KAFKA_SECONDS:g} s: {why}"}
    return {"topic_id": str(topic.topic_id), "ends": {str(p): ends[p] for p in sorted(ends)}, "note": None}


def _left(until: float) -> float:
    return max(0.1, until - time.monotonic())
