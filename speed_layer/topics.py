"""The control plane of Kafka: topics, their ids, and where their partitions begin and end."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewPartitions, NewTopic, OffsetSpec, ResourceType

from contracts.errors import RecordsLost, TidemarkError
from contracts.names import Offsets
from contracts.topics import Topic

_TIMEOUT_SECONDS = 15.0


class KafkaUnavailable(TidemarkError):
    """Kafka does not answer."""

    exit_code = 27


class Topics:
    """Asks and changes one cluster's topics. Safe to keep for the life of a process."""

    def __init__(self, bootstrap: str, timeout_seconds: float = _TIMEOUT_SECONDS) -> None:
        self._bootstrap = bootstrap
        self._timeout = timeout_seconds
        self._admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})

    def ensure(self, topic: Topic, partitions: int) -> None:
        """Create the topic with its settings where it is missing; an existing one is left alone."""
        made = self._admin.create_topics([NewTopic(topic.name, partitions, 1, config=topic.config)])
        try:
            self._result(made[topic.name])
        except KafkaUnavailable as error:
            cause = error.__cause__
            if not isinstance(cause, KafkaException) or cause.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise

    def add_partitions(self, name: str, total: int) -> None:
        """Grow the topic to `total` partitions."""
        self._result(self._admin.create_partitions([NewPartitions(name, total)])[name])

    def topic_id(self, name: str) -> str:
        """The topic's id: a topic that is created again has another. Raises `RecordsLost` where it is gone."""
        return str(self._describe(name).topic_id)

    def partitions(self, name: str) -> list[int]:
        """The topic's partitions, in order."""
        return sorted(p.id for p in self._describe(name).partitions)

    def beginnings(self, name: str) -> dict[int, int]:
        """The lowest offset that retention has left, by partition."""
        return self._offsets(name, OffsetSpec.earliest())

    def ends(self, name: str) -> dict[int, int]:
        """The exclusive end, by partition."""
        return self._offsets(name, OffsetSpec.latest())

    def first_since(self, name: str, broker_time_ms: int) -> dict[int, int]:
        """The lowest offset appended at or after a broker time, by partition; its end where there is none."""
        ends = self.ends(name)
        found = self._offsets(name, OffsetSpec.for_timestamp(broker_time_ms))
        return {p: ends[p] if offset < 0 else offset for p, offset in found.items()}

    def retention_ms(self, name: str) -> int:
        """How long the topic keeps records; -1 is for ever."""
        resource = ConfigResource(ResourceType.TOPIC, name)
        settings = self._result(self._admin.describe_configs([resource])[resource])
        return int(settings["retention.ms"].value)

    def delete(self, name: str) -> None:
        """Delete the topic and every record in it."""
        self._result(self._admin.delete_topics([name])[name])

    def _describe(self, name: str) -> Any:
        described = self._admin.describe_topics(TopicCollection([name]), request_timeout=self._timeout)
        try:
            return self._result(described[name])
        except KafkaUnavailable as error:
            cause = error.__cause__
            if isinstance(cause, KafkaException) and cause.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                remedy = "Restore the topic, or create it anew and run `tidemark generations new`."
                raise RecordsLost(f"Topic {name} does not exist", remedy) from error
            raise

    def _offsets(self, name: str, spec: OffsetSpec) -> dict[int, int]:
        wanted = {TopicPartition(name, p): spec for p in self.partitions(name)}
        found = self._admin.list_offsets(wanted, request_timeout=self._timeout)
        return {tp.partition: int(self._result(future).offset) for tp, future in found.items()}

    def _result(self, future: Future[Any]) -> Any:
        try:
            return future.result(self._timeout)
        except (KafkaException, TimeoutError) as error:
            remedy = "Start Kafka (`tidemark up`), or set TIDEMARK_KAFKA to its bootstrap servers."
            raise KafkaUnavailable(f"Kafka at {self._bootstrap}: {error}", remedy) from error


def spark_offsets(topic: str, offsets: Offsets) -> str:
    """An offset vector as Spark's `startingOffsets` and `endingOffsets` want it."""
    inside = ",".join(f'"{p}":{o}' for p, o in sorted(offsets.items()))
    return f'{{"{topic}":{{{inside}}}}}'


def check_held(beginnings: Offsets, start: Offsets) -> None:
    """Raise `RecordsLost` where retention has deleted records at or above `start`."""
    gone: Mapping[int, int] = {p: b for p, b in beginnings.items() if b > start.get(p, 0)}
    if gone:
        raise RecordsLost(
            f"Kafka has deleted records that were not read yet: partitions {sorted(gone)} begin at {dict(gone)}",
            "Lengthen the topic's retention.ms; bronze's records are safe: publish a run and begin a new generation.",
        )
