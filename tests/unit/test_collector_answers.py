"""What the collector answers, event by event."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from contracts.envelope import KEY_HEADER, record_key
from contracts.topics import EVENTS, REJECTED
from tests.unit.collector_client import KEY, Client, Taken


@pytest.fixture
def kafka() -> Taken:
    return Taken()


@pytest.fixture
def client(kafka: Taken, tmp_path: Path) -> Client:
    return Client(kafka, tmp_path)


def message(**fields: Any) -> dict[str, Any]:
    return {"type": "track", "event": "Product Viewed", "anonymousId": "v1", "messageId": "m1"} | fields


def statuses(answer: Any) -> list[str]:
    return [d["status"] for d in answer.json()["dispositions"]]


@pytest.mark.parametrize("name", ["track", "page", "screen", "identify", "group", "alias"])
def test_each_endpoint_gives_its_type(client: Client, kafka: Taken, name: str) -> None:
    answer = client.post(f"/v1/{name}", auth=KEY, json={"userId": "u1", "messageId": "m1", "type": "nonsense"})
    assert answer.status_code == 200
    assert answer.json() == {"success": True, "dispositions": [{"messageId": "m1", "status": "accepted"}]}
    [envelope] = kafka.values(EVENTS.name)
    assert envelope["type"] == name
    assert envelope["source"] == "web"
    assert kafka.records[0].key == b"u1"


def test_what_the_entrance_stamps(client: Client, kafka: Taken) -> None:
    raw = b' {"userId":"u1" , "properties":{"price":1.10}} '
    client.post("/v1/track", auth=("k2", ""), content=raw, headers={"user-agent": "shop/1"})
    value = kafka.records[0].value
    envelope = json.loads(value)
    assert raw.strip() in value
    assert envelope["ip"] == "203.0.113.0"
    assert envelope["userAgent"] == "shop/1"
    assert envelope["receivedAt"].endswith("Z")
    assert "source" not in envelope


def test_every_event_carries_its_deduplication_key(client: Client, kafka: Taken) -> None:
    same = message(properties={"price": 1})
    batch = [same, message(properties={"price": 2}), message(messageId="m2"), message(messageId=None), 7]
    client.post("/v1/batch", auth=KEY, json={"batch": batch})
    client.post("/v1/track", auth=KEY, json=same | {"sentAt": "2026-01-02T03:04:05Z"})
    events = [record for record in kafka.records if record.topic == EVENTS.name]
    keys = [dict(record.headers)[KEY_HEADER] for record in events]
    named = [(e["messageId"], e["fingerprint"]) for e in kafka.values(EVENTS.name)]
    assert keys == [record_key(message_id, fingerprint) for message_id, fingerprint in named]
    assert keys[0] == keys[4]
    assert len(set(keys)) == 4
    assert [record.headers for record in kafka.records if record.topic == REJECTED.name] == [()]


@pytest.mark.parametrize("path", ["/v1/batch", "/v1/import"])
def test_a_batch_answers_in_order_and_keeps_bytes_and_sent_at(client: Client, kafka: Taken, path: str) -> None:
    body = (
        b'{"batch":[{"type":"track","event":"a","userId":"1","messageId":"x","n":1.50}, {"type":"page","userId":"2"}]'
    )
    answer = client.post(path, auth=KEY, content=body + b',"sentAt":"2026-01-02T03:04:05Z"}')
    assert answer.status_code == 200
    assert statuses(answer) == ["accepted", "accepted"]
    assert b'"messageId":"x","n":1.50}' in kafka.records[0].value
    assert [envelope["sentAt"] for envelope in kafka.values(EVENTS.name)] == ["2026-01-02T03:04:05Z"] * 2
    assert [envelope["type"] for envelope in kafka.values(EVENTS.name)] == ["track", "page"]


def test_a_mixed_batch_is_accepted_and_its_bad_events_become_dead_letters(client: Client, kafka: Taken) -> None:
    bad = [
        message(anonymousId="null", messageId="b1"),
        message(anonymousId=None, messageId="b2"),
        message(type="purchase", messageId="b3"),
        message(properties=[1], messageId="b4"),
        message(anonymousId=True, messageId="b5"),
        message(blob="x" * 40_000, messageId="b6"),
        message(anonymousId="v" * 256, messageId="b7"),
        7,
    ]
    answer = client.post("/v1/batch", auth=KEY, json={"batch": [message(), *bad]})
    assert answer.status_code == 200
    told = answer.json()["dispositions"]
    assert told[0] == {"messageId": "m1", "status": "accepted"}
    assert [d["messageId"] for d in told[1:]] == ["b1", "b2", "b3", "b4", "b5", "b6", "b7", None]
    reasons = ["illegal_id", "missing_id", "unknown_type", "wrong_type", "wrong_type", "too_large", "illegal_id"]
    assert [d["reason"] for d in told[1:]] == [*reasons, "not_json"]
    assert all(d["explanation"] for d in told[1:])
    letters = kafka.values(REJECTED.name)
    assert [letter["failure"]["code"] for letter in letters] == [*reasons, "not_json"]
    assert [json.loads(base64.b64decode(letter["raw"])) for letter in letters] == bad
    assert all(letter["sender"] == "web" and letter["received_at"] and letter["size"] for letter in letters)


def test_a_dead_letter_is_cut_but_says_its_size(client: Client, kafka: Taken) -> None:
    client.post("/v1/batch", auth=KEY, json={"batch": [message(), message(blob="x" * 100_000)]})
    [letter] = kafka.values(REJECTED.name)
    assert len(base64.b64decode(letter["raw"])) == 64 * 1024
    assert letter["size"] > 100_000


def test_where_nothing_is_accepted_the_sender_is_told_and_nothing_is_written(client: Client, kafka: Taken) -> None:
    answer = client.post("/v1/batch", auth=KEY, json={"batch": [message(anonymousId="undefined"), 7]})
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert statuses(answer) == ["rejected", "rejected"]
    assert {"type", "title", "detail", "remedy"} <= answer.json().keys()
    assert kafka.records == []


@pytest.mark.parametrize("batch_of", [1, 2])
def test_an_event_without_consent_is_only_counted(client: Client, kafka: Taken, batch_of: int) -> None:
    no_consent = {"consent": {"collect": False}}
    answer = client.post("/v1/batch", auth=KEY, json={"batch": [message(context=no_consent)] * batch_of})
    assert answer.status_code == 200
    assert statuses(answer) == ["refused_no_consent"] * batch_of
    assert kafka.records == []
    assert f'disposition="refused_no_consent",reason="",type="track"}} {batch_of}.0' in client.get("/metrics").text


def test_a_bad_event_without_consent_leaves_no_dead_letter(client: Client, kafka: Taken) -> None:
    batch = [message(), message(anonymousId="null", context={"consent": {"collect": False}})]
    assert statuses(client.post("/v1/batch", auth=KEY, json={"batch": batch})) == ["accepted", "refused_no_consent"]
    broken = b'{"batch":[{"type":"page","userId":"u"},{"n":NaN,"context":{"consent":{"collect": false}}}]}'
    assert statuses(client.post("/v1/batch", auth=KEY, content=broken)) == ["accepted", "refused_no_consent"]
    too_large = [message(), message(blob="x" * 40_000, context={"consent": {"collect": False}})]
    assert statuses(client.post("/v1/batch", auth=KEY, json={"batch": too_large})) == ["accepted", "refused_no_consent"]
    assert kafka.values(REJECTED.name) == []


def test_a_field_that_is_merely_called_collect_withholds_nothing(client: Client, kafka: Taken) -> None:
    batch = [message(), message(anonymousId="null", properties={"collect": False})]
    assert statuses(client.post("/v1/batch", auth=KEY, json={"batch": batch})) == ["accepted", "rejected"]
    assert len(kafka.values(REJECTED.name)) == 1


def test_unacknowledged_events_are_not_claimed(client: Client, kafka: Taken) -> None:
    kafka.lost = [1, 2]
    batch = [message(messageId="a"), message(messageId="b"), message(messageId="c", anonymousId="null")]
    answer = client.post("/v1/batch", auth=KEY, json={"batch": batch})
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert answer.json()["success"] is False
    assert statuses(answer) == ["accepted", "unavailable", "unavailable"]


def test_a_full_queue_is_a_503(client: Client, kafka: Taken) -> None:
    kafka.is_full = True
    answer = client.post("/v1/track", auth=KEY, json=message())
    assert answer.status_code == 503
    assert "retry-after" in answer.headers
    assert statuses(answer) == ["unavailable"]
    assert 'kafka_errors_total{code="QUEUE_FULL"} 1.0' in client.get("/metrics").text


def test_the_trace_is_carried_or_begun(client: Client, kafka: Taken) -> None:
    given = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    for sent in (given, "00-" + "0" * 32 + "-b7ad6b7169203331-01", ""):
        client.post("/v1/track", auth=KEY, json=message(), headers={"traceparent": sent} if sent else {})
    (first,), (second,), (third,) = kafka.headers
    assert first == ("traceparent", given.encode())
    assert len({first, second, third}) == 3
    assert all(name == "traceparent" and len(value or "") == len(given) for name, value in (second, third))


def test_health_follows_kafka(client: Client, kafka: Taken) -> None:
    assert client.get("/healthz").status_code == 200
    kafka.said = "Kafka does not answer."
    answer = client.get("/healthz")
    assert answer.status_code == 503
    assert answer.json()["detail"] == "Kafka does not answer."


def test_metrics_count_requests_events_and_bytes(client: Client) -> None:
    body = json.dumps({"batch": [message(), message(anonymousId="null")]}).encode()
    client.post("/v1/batch", auth=KEY, content=gzip.compress(body), headers={"content-encoding": "gzip"})
    text = client.get("/metrics").text
    assert 'tidemark_collector_requests_total{endpoint="batch",status="200"} 1.0' in text
    assert 'events_total{disposition="accepted",reason="",type="track"} 1.0' in text
    assert 'events_total{disposition="rejected",reason="illegal_id",type="track"} 1.0' in text
    assert f"tidemark_collector_body_bytes_total {float(len(body))}" in text
    assert "tidemark_collector_ack_seconds_count 1.0" in text


def test_closing_the_app_closes_the_producer(client: Client, kafka: Taken) -> None:
    async def live() -> None:
        async with client.app.router.lifespan_context(client.app):
            assert not kafka.is_closed

    asyncio.run(live())
    assert kafka.is_closed
