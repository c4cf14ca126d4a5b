"""Dead letters: records the transforms refused, sent to `events.rejected` after the store's commit.

At least once; the record's name `log:partition:offset` is the id. The exact count is in the store (quality).
"""

from __future__ import annotations

import base64
import json

import pyarrow as pa
from confluent_kafka import KafkaError, Message, Producer

from contracts.topics import REJECTED
from speed_layer.topics import KafkaUnavailable

_LONGEST_VALUE = 64 * 1024
_FLUSH_SECONDS = 15.0


class DeadLetters:
    """A producer of dead letters."""

    def __init__(self, bootstrap: str) -> None:
        config = {"bootstrap.servers": bootstrap, "acks": "all", "enable.idempotence": True, "log_level": 0}
        self._producer = Producer(config)
        self._failed: list[str] = []

    def send(self, rejected: pa.Table) -> None:
        """Send every row (`batches.REJECTED`) and wait until Kafka has them. Raises `KafkaUnavailable`."""
        for row in rejected.to_pylist():
            name = f"{row['log']}:{row['partition']}:{row['offset']}"
            self._producer.produce(REJECTED.name, key=name, value=_letter(name, row), on_delivery=self._delivered)
            self._producer.poll(0)
        if self._producer.flush(_FLUSH_SECONDS) or self._failed:
            why = self._failed.pop() if self._failed else "no acknowledgement"
            raise KafkaUnavailable(f"Dead letters were not taken: {why}", "Start Kafka; the batch is sent again.")

    def _delivered(self, error: KafkaError | None, _: Message) -> None:
        if error is not None:
            self._failed.append(str(error))


def _letter(name: str, row: dict[str, object]) -> bytes:
    value = row["value"] if isinstance(row["value"], bytes) else b""
    letter = {
        "record": name,
        "reason": row["reason"],
        "broker_time": str(row["broker_time"]),
        "value_base64": base64.b64encode(value[:_LONGEST_VALUE]).decode(),
        "value_bytes": len(value),
    }
    return json.dumps(letter, separators=(",", ":")).encode()
