"""Files and the simulator into Kafka, through the same entrance as the collector."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from confluent_kafka import KafkaError, Message, Producer

from contracts.envelope import REPLAY, Entered, Stamp, enter, stamped
from contracts.letters import Stage, refused
from contracts.privacy import InstallationKeys
from contracts.topics import EVENTS, REJECTED
from speed_layer.replay.message import BadRow, SourceItem, SourceMessage
from speed_layer.topics import KafkaUnavailable

_FLUSH_SECONDS = 60.0
_REPORT_EVERY = 500

Headers = list[tuple[str, str | bytes | None]]


class Pump:
    """Sends messages to Kafka and counts what became of them: accepted, refused by reason, bad rows."""

    def __init__(self, bootstrap: str, keys: InstallationKeys, source: str = REPLAY) -> None:
        config = {
            "bootstrap.servers": bootstrap,
            "acks": "all",
            "enable.idempotence": True,
            "partitioner": "murmur2_random",
            "linger.ms": 5,
            "log_level": 0,
        }
        self._producer = Producer(config)
        self._keys, self._source = keys, source
        self.counts: Counter[str] = Counter()
        self._errors: list[str] = []

    def run(
        self,
        items: Iterable[SourceItem],
        *,
        events_per_second: float | None = None,
        on_progress: Callable[[int], None] = lambda _: None,
    ) -> Counter[str]:
        """Send every item, at most `events_per_second`, and wait for Kafka's acknowledgement of all.

        Raises `KafkaUnavailable` where Kafka did not take one.
        """
        began, sent = time.monotonic(), 0
        for item in items:
            if events_per_second:
                _wait_until(began + sent / events_per_second)
            self.send(item)
            sent += 1
            if sent % _REPORT_EVERY == 0:
                on_progress(sent)
        self.flush()
        on_progress(sent)
        return self.counts

    def send(self, item: SourceItem) -> None:
        """Put one item on its way; a row or message that is refused goes to the dead letters."""
        if isinstance(item, BadRow):
            self.counts["bad_row"] += 1
            self._refuse(item.reason, f"line {item.line_number}".encode())
            return
        entered = enter(item.raw, None, self._stamp(item), self._keys)
        if isinstance(entered, Entered):
            self.counts["accepted"] += 1
            self._produce(EVENTS.name, entered.key, entered.value, [*entered.headers])
        elif entered.reason is None:
            self.counts["refused_no_consent"] += 1
        else:
            self.counts[f"rejected:{entered.reason}"] += 1
            self._refuse(entered.reason, item.raw)

    def flush(self) -> None:
        """Wait until Kafka has acknowledged everything. Raises `KafkaUnavailable`."""
        left = self._producer.flush(_FLUSH_SECONDS)
        if left or self._errors:
            why = self._errors[0] if self._errors else f"{left} messages are not acknowledged"
            raise KafkaUnavailable(
                f"Kafka did not take everything: {why}", "Start Kafka and replay again: copies dedupe."
            )

    def _refuse(self, code: str, raw: bytes) -> None:
        letter = refused(Stage.REPLAY, code, raw, self._keys, received_at=_now(), sender=self._source)
        self._produce(REJECTED.name, letter.id.encode(), letter.to_bytes(), [])

    def _stamp(self, item: SourceMessage) -> Stamp:
        return Stamp(_now(), item.sent_at, item.ip, item.user_agent, self._source)

    def _produce(self, topic: str, key: bytes | None, value: bytes, headers: Headers) -> None:
        while True:
            try:
                self._producer.produce(topic, value, key, headers=headers, on_delivery=self._delivered)
                break
            except BufferError:
                self._producer.poll(0.1)
        self._producer.poll(0)

    def _delivered(self, error: KafkaError | None, _: Message) -> None:
        if error is not None:
            self._errors.append(str(error))


def _wait_until(moment: float) -> None:
    ahead = moment - time.monotonic()
    if ahead > 0:
        time.sleep(ahead)


def _now() -> str:
    return stamped(datetime.now(UTC))
