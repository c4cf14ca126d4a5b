"""How acknowledgements reach the requests that wait for them; a scripted client library stands for Kafka's."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from speed_layer.collector import kafka_log
from speed_layer.collector.admit import Record
from speed_layer.collector.kafka_log import KafkaLog, Overloaded

RECORDS = [Record("events", b"k", str(i).encode(), [("tm-key", b"%d" % i)]) for i in range(5)]
TIMED_OUT = KafkaError(KafkaError._MSG_TIMED_OUT)


class Scripted:
    """A producer that reports on each record what `verdict` says of its value; `...` means no report at all."""

    def __init__(self, verdict: Callable[[bytes], Any]) -> None:
        self.verdict = verdict
        self.waiting: list[tuple[bytes, Any]] = []
        self.flushed = False

    def produce(self, _topic: str, value: bytes, _key: bytes, *, headers: Any, on_delivery: Any) -> None:
        verdict = self.verdict(value)
        if isinstance(verdict, BaseException):
            raise verdict
        assert headers == [("tm-key", value), ("traceparent", b"t")]
        if verdict is not ...:
            self.waiting.append((verdict, on_delivery))

    def poll(self, _seconds: float) -> int:
        time.sleep(0.001)
        waiting, self.waiting = self.waiting, []
        for verdict, on_delivery in waiting:
            on_delivery(verdict, None)
        return len(waiting)

    def flush(self, _seconds: float) -> int:
        self.flushed = True
        return len(self.waiting)

    def list_topics(self, timeout: float) -> Any:
        raise KafkaException(KafkaError(KafkaError._TRANSPORT, f"after {timeout}"))

    def __len__(self) -> int:
        return len(self.waiting)


@pytest.fixture
def errors() -> list[str]:
    return []


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch, errors: list[str]) -> Callable[..., KafkaLog]:
    def log_over(*producers: Scripted, ack_seconds: float = 8.0) -> KafkaLog:
        left = iter(producers)
        monkeypatch.setattr(kafka_log, "_new_producer", lambda _config: next(left))
        return KafkaLog("nowhere:9092", ack_seconds, 1000, count_error=errors.append)

    return log_over


def sent(log: KafkaLog, times: int = 1) -> list[list[int] | BaseException]:
    """What each of `times` concurrent requests of five records gets."""

    async def run() -> list[list[int] | BaseException]:
        log.start()
        headers: kafka_log.Headers = [("traceparent", b"t")]
        answers = await asyncio.gather(*(log.send(RECORDS, headers) for _ in range(times)), return_exceptions=True)
        await asyncio.to_thread(log.close)
        return answers

    return asyncio.run(run())


def test_all_acknowledged(make: Callable[..., KafkaLog]) -> None:
    producer = Scripted(lambda _value: None)
    assert sent(make(producer), times=50) == [[]] * 50
    assert producer.flushed


def test_the_lost_ones_are_named(make: Callable[..., KafkaLog], errors: list[str]) -> None:
    log = make(Scripted(lambda value: TIMED_OUT if value in {b"1", b"4"} else None))
    assert sent(log) == [[1, 4]]
    assert errors == ["_MSG_TIMED_OUT"] * 2


def test_a_record_without_report_is_not_claimed(
    make: Callable[..., KafkaLog], errors: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_log, "_PROBE_SECONDS", 0.05)
    assert sent(make(Scripted(lambda value: ... if value == b"2" else None), ack_seconds=0.1)) == [[2]]
    assert errors == ["NO_REPORT"]


def test_a_full_queue_claims_nothing(make: Callable[..., KafkaLog]) -> None:
    [answer] = sent(make(Scripted(lambda value: BufferError() if value == b"3" else None)))
    assert isinstance(answer, Overloaded)


def test_a_producer_that_failed_for_good_is_replaced(make: Callable[..., KafkaLog], errors: list[str]) -> None:
    fatal = KafkaException(KafkaError(KafkaError._FATAL))
    log = make(Scripted(lambda _value: fatal), Scripted(lambda _value: None))
    assert sent(log, times=2) == [[0, 1, 2, 3, 4], []]
    assert errors == ["_FATAL"]


def test_trouble_trusts_a_recent_acknowledgement(make: Callable[..., KafkaLog]) -> None:
    log = make(Scripted(lambda _value: None))
    assert asyncio.run(log.trouble()) == "Kafka does not answer (_TRANSPORT)."
    sent(log)
    assert asyncio.run(log.trouble()) is None


def test_the_library_may_not_flood_the_log() -> None:
    seldom = kafka_log._Seldom()
    lines = [logging.LogRecord("r", 40, "", 0, text, (), None) for text in ("FAIL a", "FAIL b", "GETPID a")]
    assert [seldom.filter(line) for line in lines] == [True, False, True]
