"""Records that no collector wrote: each is a counted dead letter, and the stream goes on."""

from __future__ import annotations

import json
from typing import Any

import pytest
from confluent_kafka import Producer
from kafka import KafkaConsumer, TopicPartition

from contracts.envelope import KEY_HEADER, Entered, Stamp, enter, record_key
from contracts.reasons import Reason
from contracts.topics import EVENTS, REJECTED
from speed_layer.replay import SourceMessage
from tests.e2e.stack.installation import KEYS, Installation, world

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]

Headers = list[tuple[str, bytes | None]]
DEEP = 10_000


def entered(number: int, properties: str = "{}") -> Entered:
    raw = (
        f'{{"type":"track","event":"Product Viewed","messageId":"bad-{number}","anonymousId":"v",'
        f'"timestamp":"2025-09-01T00:00:00Z","properties":{properties}}}'
    )
    made = enter(raw.encode(), None, Stamp("2025-09-01T00:00:01.000Z"), KEYS)
    assert isinstance(made, Entered)
    return made


def bad_records() -> dict[str, tuple[Reason, bytes | None, Headers]]:
    """Reasons, values and headers by what is wrong; none is an event, whatever its header says."""
    sound = entered(1)
    deep = b'{"type":"track","messageId":"d","message":' + b"[" * DEEP + b"]" * DEEP + b"}"
    key: Headers = [(KEY_HEADER, record_key("d", "d"))]
    stranger = json.loads(sound.value) | {"messageId": "another"}
    return {
        "no value": (Reason.NOT_JSON, None, []),
        "an empty value": (Reason.NOT_JSON, b"", []),
        "garbage": (Reason.INVALID_UTF8, bytes(range(256)) * 4, []),
        "garbage that names a key": (Reason.NOT_JSON, b"\x00\x01", [(KEY_HEADER, b"0123456789abcdef")]),
        "invalid UTF-8": (Reason.INVALID_UTF8, sound.value.replace(b"Product", b"\xff\xfe\xc3"), sound.headers),
        "an envelope cut short": (Reason.NOT_JSON, entered(2).value[:-30], entered(2).headers),
        "not an object": (Reason.NOT_JSON, b"[1, 2]", []),
        "JSON, but no envelope": (Reason.NOT_AN_ENVELOPE, b'{"hello": "world"}', []),
        "a key of another event": (Reason.NOT_AN_ENVELOPE, json.dumps(stranger).encode(), [(KEY_HEADER, b"f" * 16)]),
        "no key": (Reason.NOT_AN_ENVELOPE, entered(3).value, []),
        "a key without a value": (Reason.NOT_AN_ENVELOPE, entered(4).value, [(KEY_HEADER, None)]),
        "a key that is too long": (Reason.NOT_AN_ENVELOPE, entered(5).value, [(KEY_HEADER, b"x" * 17)]),
        "900 KB": (Reason.NOT_AN_ENVELOPE, b'{"type":"track","message":{"a":"' + b"x" * 900_000 + b'"}}', []),
        "10,000 deep": (Reason.TOO_DEEP, deep, key),
        "10,000 deep and cut short": (Reason.TOO_DEEP, b"[" * DEEP, []),
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
    rejected = house.rows_by_status("rejected")
    first = house.topics.ends(EVENTS.name)[0]
    bad = bad_records()
    producer = Producer({"bootstrap.servers": house.broker.bootstrap, "message.max.bytes": 4_000_000})
    # The last one names the key of an event that stands before it: so it counts as that event's copy.
    sound = entered(6)
    forged = [(sound.value, sound.headers), (b"garbage", sound.headers)]
    for value, headers in [(v, h) for _, v, h in bad.values()] + forged:
        producer.produce(EVENTS.name, value, None, partition=0, headers=headers)
        producer.flush()
    house.pump([SourceMessage(m.raw, m.send_at) for m in world(seed=62, messages=100) if isinstance(m, SourceMessage)])
    house.await_visible()
    sent, log = letters(house), house.log()
    reasons = {what: sent.get(f"{log}:0:{first + n}", {}).get("failure", {}).get("code") for n, what in enumerate(bad)}
    assert reasons == {what: reason.value for what, (reason, _, _) in bad.items()}
    assert f"{log}:0:{first + len(bad)}" not in sent
    assert f"{log}:0:{first + len(bad) + 1}" not in sent
    assert house.rows_by_status("rejected") >= rejected + len(bad)
    told = house.cli("deadletters", "list", "--stage", "live", "--limit", "5", "--json").json
    assert (told["count"] >= len(bad), len(told["letters"])) == (True, 5)
    one = house.cli("deadletters", "show", f"{log}:0:{first}", "--json").json
    assert (one["code"], one["record"]) == (next(iter(bad.values()))[0].value, f"{log}:0:{first}")
    assert "no dead letter" in house.cli("deadletters", "show", "nobody", code=1).err
    assert house.processes["live"].popen.pid == started, "the stream went on"
    house.await_bronze()
    house.assert_exact()
