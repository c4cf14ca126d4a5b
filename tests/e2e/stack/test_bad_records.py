"""Records that no collector wrote: each is a counted dead letter, and the stream goes on."""

from __future__ import annotations

import json
from typing import Any

import pytest
from confluent_kafka import Producer
from kafka import KafkaConsumer, TopicPartition

from contracts.envelope import KEY_HEADER, Entered, Stamp, enter, record_key
from contracts.topics import EVENTS, REJECTED
from speed_layer.replay import SourceMessage
from tests.e2e.stack.installation import SECRET, Installation, world

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]

Headers = list[tuple[str, bytes | None]]
DEEP = 10_000


def entered(number: int, properties: str = "{}") -> Entered:
    raw = (
        f'{{"type":"track","event":"Product Viewed","messageId":"bad-{number}","anonymousId":"v",'
        f'"timestamp":"2025-09-01T00:00:00Z","properties":{properties}}}'
    )
    made = enter(raw.encode(), None, Stamp("2025-09-01T00:00:01.000Z"), SECRET.encode())
    assert isinstance(made, Entered)
    return made


def bad_records() -> dict[str, tuple[bytes | None, Headers]]:
    """Values and headers by what is wrong with them; none is an event, whatever its header says."""
    sound = entered(1)
    deep = b'{"type":"track","messageId":"d","message":' + b"[" * DEEP + b"]" * DEEP + b"}"
    key: Headers = [(KEY_HEADER, record_key("d", "d"))]
    stranger = json.loads(sound.value) | {"messageId": "another"}
    return {
        "no value": (None, []),
        "an empty value": (b"", []),
        "garbage": (bytes(range(256)) * 4, []),
        "garbage that names a key": (b"\x00\x01", [(KEY_HEADER, b"0123456789abcdef")]),
        "invalid UTF-8": (sound.value.replace(b"Product", b"\xff\xfe\xc3"), sound.headers),
        "an envelope cut short": (entered(2).value[:-30], entered(2).headers),
        "not an object": (b"[1, 2]", []),
        "JSON, but no envelope": (b'{"hello": "world"}', []),
        "a key of another event": (json.dumps(stranger).encode(), [(KEY_HEADER, b"f" * 16)]),
        "no key": (entered(3).value, []),
        "a key without a value": (entered(4).value, [(KEY_HEADER, None)]),
        "a key that is too long": (entered(5).value, [(KEY_HEADER, b"x" * 17)]),
        "900 KB": (b'{"type":"track","message":{"a":"' + b"x" * 900_000 + b'"}}', []),
        "10,000 deep": (deep, key),
        "10,000 deep and cut short": (b"[" * DEEP, []),
    }


def letters(house: Installation) -> dict[str, dict[str, Any]]:
    """The dead letters by the record's name."""
    consumer = KafkaConsumer(bootstrap_servers=house.broker.bootstrap, enable_auto_commit=False)
    parts = [TopicPartition(REJECTED.name, p) for p in consumer.partitions_for_topic(REJECTED.name) or ()]
    consumer.assign(parts)
    consumer.seek_to_beginning(*parts)
    left, found = sum(consumer.end_offsets(parts).values()), {}
    while left > 0:
        for records in consumer.poll(1000).values():
            left -= len(records)
            found |= {json.loads(r.value).get("record", ""): json.loads(r.value) for r in records}
    consumer.close()
    return found


def test_what_no_collector_wrote(house: Installation) -> None:
    house.pump(world(seed=61, messages=300))
    house.await_visible()
    started = house.processes["live"].popen.pid
    rejected = house.count("(SELECT sum(rows) FROM quality WHERE status = 'rejected')")
    first = house.topics.ends(EVENTS.name)[0]
    bad = bad_records()
    producer = Producer({"bootstrap.servers": house.broker.bootstrap, "message.max.bytes": 4_000_000})
    for value, headers in bad.values():
        producer.produce(EVENTS.name, value, None, partition=0, headers=headers)
        producer.flush()
    house.pump([SourceMessage(m.raw, m.send_at) for m in world(seed=62, messages=100) if isinstance(m, SourceMessage)])
    house.await_visible()
    assert house.topics.ends(EVENTS.name)[0] >= first + len(bad)
    sent = letters(house)
    names = {what: f"{house.log()}:0:{first + n}" for n, what in enumerate(bad)}
    assert {what for what, name in names.items() if name not in sent} == set(), "without a dead letter"
    more = house.count("(SELECT sum(rows) FROM quality WHERE status = 'rejected')") - rejected
    assert more >= len(bad)
    assert house.processes["live"].popen.pid == started, "the stream went on"
    house.await_bronze()
    house.assert_exact()
