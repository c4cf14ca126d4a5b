"""Records to Kafka, acknowledged: the one place where the collector talks to a broker."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, Protocol

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from contracts.topics import TOPICS
from infra import log
from speed_layer.collector.admit import Record

LINGER_MS: Final = 5
_POLL_SECONDS: Final = 0.1
_TRUSTED_SECONDS: Final = 5.0
_PROBE_SECONDS: Final = 2.0
_REPEAT_SECONDS: Final = 30.0
_LOG: Final = log.get(__name__)

Headers = list[tuple[str, str | bytes | None]]


class Overloaded(Exception):
    """As many records wait for Kafka as may: nothing of this request will be claimed."""


class Acknowledging(Protocol):
    """What the app needs of Kafka."""

    def start(self) -> None:
        """Begin, inside the running event loop."""

    async def send(self, records: Sequence[Record], headers: Headers) -> list[int]:
        """Send, wait for every acknowledgement, and return the indexes of the records that got none.

        `headers` are the request's: every record carries them after its own. Raises `Overloaded`.
        """

    async def trouble(self) -> str | None:
        """Why records would not be acknowledged now, or None."""

    def in_flight(self) -> int:
        """How many records wait for their acknowledgement."""

    def close(self) -> None:
        """Wait for what is in flight, and end. Blocks."""


class _Seldom(logging.Filter):
    """Lets one line of a kind through in a while: a client without its broker says the same five times a second."""

    def __init__(self) -> None:
        super().__init__()
        self._said_at: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        kind = record.getMessage().partition(" ")[0]
        now = time.monotonic()
        is_due = now - self._said_at.get(kind, -_REPEAT_SECONDS) >= _REPEAT_SECONDS
        if is_due:
            self._said_at[kind] = now
        return is_due


class _Ticket:
    """One request's records. Settled by the polling thread alone."""

    __slots__ = ("future", "lost", "remaining")

    def __init__(self, count: int, future: asyncio.Future[None]) -> None:
        self.remaining = count
        self.lost = set(range(count))
        self.future = future


class KafkaLog:
    """An idempotent producer (acks=all, not transactional: offsets stay dense) whose acknowledgements are awaitable.

    `count_error` is called with Kafka's error code for each record it did not take.
    """

    def __init__(
        self,
        bootstrap: str,
        ack_seconds: float,
        most_in_flight: int,
        count_error: Callable[[str], None] = lambda _code: None,
    ) -> None:
        self._config = _producer_config(bootstrap, ack_seconds, most_in_flight)
        self._ack_seconds = ack_seconds
        self.count_error = count_error
        self._producer = _new_producer(self._config)
        self._settled: list[_Ticket] = []
        self._is_closing = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="kafka-acks", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_failing = False
        self._acknowledged_at = -_TRUSTED_SECONDS
        self._probe: tuple[float, str | None] = (-_PROBE_SECONDS, None)
        self._probing = asyncio.Lock()

    def start(self) -> None:
        """Begin to serve acknowledgements, inside the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    async def send(self, records: Sequence[Record], headers: Headers) -> list[int]:
        """See `Acknowledging.send`. Takes at most `ack_seconds`, and a little."""
        ticket = _Ticket(len(records), asyncio.get_running_loop().create_future())
        try:
            for index, (topic, key, value, own) in enumerate(records):
                on_delivery = partial(self._on_delivery, ticket, index)
                self._producer.produce(topic, value, key, headers=[*own, *headers], on_delivery=on_delivery)
        except BufferError as error:
            raise Overloaded from error
        except KafkaException as error:
            self._on_failed_produce(error.args[0])
            return list(range(len(records)))
        try:
            async with asyncio.timeout(self._ack_seconds + 2 * _PROBE_SECONDS):
                await ticket.future
        except TimeoutError:
            self.count_error("NO_REPORT")
        return sorted(ticket.lost)

    async def trouble(self) -> str | None:
        """See `Acknowledging.trouble`. Asks Kafka only where no record was acknowledged lately."""
        async with self._probing:
            now = time.monotonic()
            if now - self._acknowledged_at < _TRUSTED_SECONDS:
                return None
            if now - self._probe[0] >= _PROBE_SECONDS:
                found = await asyncio.to_thread(self._ask_kafka)
                self._probe = (time.monotonic(), found)
            return self._probe[1]

    def in_flight(self) -> int:
        """How many records wait for their acknowledgement."""
        return len(self._producer)

    def close(self) -> None:
        """Wait for what is in flight, at most as long as a request would, and end."""
        self._is_closing.set()
        if self._thread.is_alive():
            self._thread.join()
        left = self._producer.flush(self._ack_seconds)
        _LOG.info("producer closed", unacknowledged=left)

    def _serve(self) -> None:
        while not self._is_closing.is_set():
            self._producer.poll(_POLL_SECONDS)
            if self._settled and self._loop is not None:
                settled, self._settled = self._settled, []
                # One wake-up of the loop for all that this poll settled, however many records they are.
                self._loop.call_soon_threadsafe(_release, settled)

    def _on_delivery(self, ticket: _Ticket, index: int, error: KafkaError | None, _message: Message) -> None:
        if error is None:
            ticket.lost.discard(index)
            self._acknowledged_at = time.monotonic()
        else:
            self._acknowledged_at = -_TRUSTED_SECONDS
            self.count_error(error.name())
        if (error is not None) != self._is_failing:
            self._is_failing = error is not None
            if error is not None:
                _LOG.warning("kafka does not acknowledge", code=error.name())
            else:
                _LOG.info("kafka acknowledges again")
        ticket.remaining -= 1
        if ticket.remaining == 0:
            self._settled.append(ticket)

    def _on_failed_produce(self, error: KafkaError) -> None:
        self.count_error(error.name())
        _LOG.error("record not taken", code=error.name())
        if error.code() == KafkaError._FATAL:  # noqa: SLF001 - confluent-kafka's name for it
            # An idempotent producer that lost its sequence never recovers; what it still held was not claimed.
            self._producer = _new_producer(self._config)

    def _ask_kafka(self) -> str | None:
        try:
            known = self._producer.list_topics(timeout=_PROBE_SECONDS).topics
        except KafkaException as error:
            return f"Kafka does not answer ({error.args[0].name()})."
        missing = [topic.name for topic in TOPICS if topic.name not in known]
        return f"Kafka has no topic {' and '.join(missing)}." if missing else None


def _release(settled: list[_Ticket]) -> None:
    for ticket in settled:
        if not ticket.future.done():
            ticket.future.set_result(None)


def _new_producer(config: dict[str, Any]) -> Producer:
    logger = logging.getLogger("librdkafka")
    logger.filters = [_Seldom()]
    return Producer(config, logger=logger)


def _producer_config(bootstrap: str, ack_seconds: float, most_in_flight: int) -> dict[str, Any]:
    return {
        "bootstrap.servers": bootstrap,
        "client.id": "tidemark-collector",
        "acks": "all",
        "enable.idempotence": True,
        "partitioner": "murmur2_random",
        "linger.ms": LINGER_MS,
        "delivery.timeout.ms": int(ack_seconds * 1000),
        "queue.buffering.max.messages": most_in_flight,
        "queue.buffering.max.kbytes": 128 * 1024,
        "message.max.bytes": 4 * 1024 * 1024,
        "reconnect.backoff.max.ms": 1000,
        "log.connection.close": False,
    }
