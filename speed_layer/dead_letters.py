"""Dead letters: what the transforms refused, sent to `events.rejected` after the store's commit; and reading them.

At least once; the record's name `log:partition:offset` is the id. The exact count is in the store (quality).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import pyarrow as pa
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from contracts.letters import Letter, Stage, failure_of
from contracts.topics import REJECTED
from speed_layer.topics import KafkaUnavailable, Topics

_FLUSH_SECONDS = 15.0
_POLL_SECONDS = 10.0


class DeadLetters:
    """A producer of dead letters."""

    def __init__(self, bootstrap: str) -> None:
        config = {"bootstrap.servers": bootstrap, "acks": "all", "enable.idempotence": True, "log_level": 0}
        self._producer = Producer(config)
        self._failed: list[str] = []

    def send(self, rejected: pa.Table) -> None:
        """Send every row (`batches.REJECTED`) and wait until Kafka has them. Raises `KafkaUnavailable`."""
        for row in rejected.to_pylist():
            letter = _letter(row)
            self._producer.produce(REJECTED.name, key=letter.id, value=letter.to_bytes(), on_delivery=self._delivered)
            self._producer.poll(0)
        if self._producer.flush(_FLUSH_SECONDS) or self._failed:
            why = self._failed.pop() if self._failed else "no acknowledgement"
            raise KafkaUnavailable(f"Dead letters were not taken: {why}", "Start Kafka; the batch is sent again.")

    def _delivered(self, error: KafkaError | None, _: Message) -> None:
        if error is not None:
            self._failed.append(str(error))


def read_letters(bootstrap: str) -> Iterator[Letter]:
    """Every dead letter that Kafka holds now, each id once, in the order of partitions and offsets.

    Raises `KafkaUnavailable`. What is no letter is passed over.
    """
    topics = Topics(bootstrap)
    first, end = topics.beginnings(REJECTED.name), topics.ends(REJECTED.name)
    left = {p: o for p, o in end.items() if o > first.get(p, 0)}
    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": "tidemark-letters", "enable.auto.commit": False, "log_level": 0}
    )
    seen: set[str] = set()
    try:
        consumer.assign([TopicPartition(REJECTED.name, p, first.get(p, 0)) for p in left])
        while left:
            message = consumer.poll(_POLL_SECONDS)
            if message is None or message.error():
                why = message.error() if message else "no answer"
                raise KafkaUnavailable(f"Kafka at {bootstrap} does not give its dead letters: {why}", "Start Kafka.")
            partition, offset = message.partition(), message.offset()
            if partition is None or offset is None or partition not in left:
                continue
            if offset + 1 >= left[partition]:
                del left[partition]
            letter = _letter_in(message.value())
            if letter is not None and letter.id not in seen:
                seen.add(letter.id)
                yield letter
    except KafkaException as error:
        raise KafkaUnavailable(f"Kafka at {bootstrap} cannot be read: {error}", "Start Kafka.") from error
    finally:
        consumer.close()


def _letter_in(value: bytes | None) -> Letter | None:
    try:
        return Letter.from_bytes(value or b"")
    except ValueError:
        return None


def _letter(row: dict[str, object]) -> Letter:
    value = row["value"] if isinstance(row["value"], bytes) else b""
    name = f"{row['log']}:{row['partition']}:{row['offset']}"
    at = row["broker_time"]
    arrived = at.isoformat().replace("+00:00", "Z") if isinstance(at, datetime) else None
    failure = failure_of(Stage.LIVE, str(row["reason"]), value)
    return Letter(name, failure, name, arrived, None, len(value), value)
