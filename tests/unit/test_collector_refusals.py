"""Requests the collector must refuse clearly: keys, encodings, sizes, broken bodies, wrong endpoints."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.collector_client import KEY, Client, Taken

GOOD = b'{"userId":"u1","messageId":"m1"}'


@pytest.fixture
def kafka() -> Taken:
    return Taken()


@pytest.fixture
def client(kafka: Taken, tmp_path: Path) -> Client:
    return Client(kafka, tmp_path)


def is_problem(answer: Any, status: int) -> bool:
    """Whether the answer is an RFC 9457 problem that says what to do."""
    told = answer.json()
    return (
        answer.status_code == status == told["status"]
        and answer.headers["content-type"] == "application/problem+json"
        and all(told[name] for name in ("type", "title", "detail", "remedy"))
    )


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Basic !!!"},
        {"authorization": "Basic /////w=="},
        {"authorization": "Bearer k1"},
        {"authorization": "Basic d3Jvbmc6"},
        {"authorization": ""},
    ],
)
def test_a_missing_or_wrong_key_is_401(client: Client, kafka: Taken, headers: dict[str, str]) -> None:
    answer = client.post("/v1/track", content=GOOD, headers=headers)
    assert is_problem(answer, 401)
    assert answer.headers["www-authenticate"].startswith("Basic")
    assert kafka.records == []


def test_the_body_may_carry_the_key(client: Client) -> None:
    assert client.post("/v1/track", json={"userId": "u", "writeKey": "k1"}).status_code == 200
    batch = [{"type": "page", "userId": "u"}]
    assert client.post("/v1/batch", json={"batch": batch, "writeKey": "k2"}).status_code == 200
    assert client.post("/v1/batch", json={"batch": batch, "writeKey": 7}).status_code == 401
    assert client.post("/v1/batch", auth=("wrong", ""), json={"batch": batch, "writeKey": "k1"}).status_code == 401


def test_gzip_is_read(client: Client) -> None:
    zipped = {"content-encoding": "gzip"}
    assert client.post("/v1/track", auth=KEY, content=gzip.compress(GOOD), headers=zipped).status_code == 200


@pytest.mark.parametrize("body", [b"", b"plain", gzip.compress(GOOD)[:-9], gzip.compress(GOOD) + b"more", b"\x1f\x8b"])
def test_broken_gzip_is_400(client: Client, body: bytes) -> None:
    answer = client.post("/v1/track", auth=KEY, content=body, headers={"content-encoding": "gzip"})
    assert is_problem(answer, 400)


def test_a_decompression_bomb_is_413(client: Client) -> None:
    bomb = gzip.compress(b" " * 50_000_000)
    assert len(bomb) < 100_000
    assert is_problem(client.post("/v1/batch", auth=KEY, content=bomb, headers={"content-encoding": "gzip"}), 413)


def test_another_encoding_is_415(client: Client) -> None:
    assert is_problem(client.post("/v1/track", auth=KEY, content=GOOD, headers={"content-encoding": "br"}), 415)


@pytest.mark.parametrize(
    ("path", "size", "status"),
    [
        ("track", 32 * 1024, 200),
        ("track", 32 * 1024 + 1, 413),
        ("track", 2_000_000, 413),
        ("batch", 500 * 1024 + 1, 413),
        ("batch", 2_000_000, 413),
    ],
)
def test_sizes(client: Client, path: str, size: int, status: int) -> None:
    body = GOOD[:-1] + b',"x":"' + b"x" * (size - len(GOOD) - 7) + b'"}'
    assert len(body) == size
    answer = client.post(f"/v1/{path}", auth=KEY, content=body)
    assert answer.status_code == status
    assert status == 200 or is_problem(answer, 413)


def test_too_many_events_are_413(client: Client) -> None:
    assert is_problem(client.post("/v1/batch", auth=KEY, content=b'{"batch":[' + b"1," * 3000 + b"1]}"), 413)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (GOOD[:-5], "not_json"),
        (b"", "not_json"),
        (b"hello", "not_json"),
        (b"[]", "not_json"),
        (b'"x"', "not_json"),
        (b'{"userId":"u1","a":' + b"[" * 10_000 + b"]" * 10_000 + b"}", "too_deep"),
        (b'{"userId":"u\xff1"}', "invalid_utf8"),
        (b'{"userId":"u1","n":NaN}', "not_json"),
        (b'{"userId":"null"}', "illegal_id"),
        (b'{"anonymousId":"[object Object]","userId":"u1"}', "illegal_id"),
        (b'{"userId":"   "}', "illegal_id"),
        (b'{"event":"x"}', "missing_id"),
        (b'{"userId":"","anonymousId":null}', "missing_id"),
        (b'{"userId":{}}', "wrong_type"),
        (b'{"userId":1.5,"properties":"x"}', "wrong_type"),
        (b'{"userId":"u1","userId":"u2"}', "duplicate_key"),
    ],
)
def test_a_bad_event_is_400_with_its_reason(client: Client, kafka: Taken, body: bytes, reason: str) -> None:
    answer = client.post("/v1/track", auth=KEY, content=body)
    assert is_problem(answer, 400)
    assert answer.json()["dispositions"][0]["reason"] == reason
    assert kafka.records == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"batch":{}}',
        b'{"batch":[]}',
        b'{"batch":7}',
        b'{"sentAt":"x"}',
        b'{"batch":[{"type":"page","userId":"u"}',
        b'{"batch":[{"type":"page","userId":"u}]}',
        b'{"batch":[{"type":"page","userId":"u"}]} more',
        b'{"a":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
        b"[" * 400_000,
        b'{"batch":["' + rb"\"" * 200_000,
    ],
)
def test_what_is_no_batch_is_400(client: Client, body: bytes) -> None:
    assert is_problem(client.post("/v1/batch", auth=KEY, content=body), 400)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b'{"type":"track","userId":"u2","n":NaN}', "not_json"),
        (b'{"type":"track","userId":"u2","n":01}', "not_json"),
        (b'{"type":"track","userId":"u2","a":' + b"[" * 10_000 + b"]" * 10_000 + b"}", "too_deep"),
        (b'{"type":"track","userId":"u\xff2"}', "invalid_utf8"),
        (b'{"type":"track","userId":"a\nb"}', "not_json"),
    ],
)
def test_one_broken_message_does_not_cost_the_batch(client: Client, bad: bytes, reason: str) -> None:
    good = b'{"type":"track","userId":"u,]}\\"1","messageId":"m"}'
    body = b'{ "context": {}, "batch" : [' + good + b" , " + bad + b"," + good + b'] , "sentAt":"s"}'
    answer = client.post("/v1/batch", auth=KEY, content=body)
    assert answer.status_code == 200
    told = answer.json()
    assert [d.get("reason") for d in told["dispositions"]] == [None, reason, None]
    assert told["ignored"] == ["context"]


def test_consent_of_a_whole_batch_is_refused_not_overlooked(client: Client, kafka: Taken) -> None:
    batch = [{"type": "page", "userId": "u"}]
    body = {"batch": batch, "context": {"consent": {"analyse": False}}}
    assert is_problem(client.post("/v1/batch", auth=KEY, json=body), 400)
    broken = json.dumps(body | {"batch": [*batch, {"n": float("nan")}]}).encode()
    assert is_problem(client.post("/v1/batch", auth=KEY, content=broken), 400)
    assert kafka.records == []


def test_unknown_endpoints_and_methods(client: Client) -> None:
    assert is_problem(client.post("/v1/nope", auth=KEY, content=GOOD), 404)
    assert is_problem(client.get("/v1/track"), 405)
    assert is_problem(client.request("PUT", "/v1/batch", auth=KEY, content=GOOD), 405)


@pytest.mark.parametrize("path", ["/v1/track", "/v1/batch"])
def test_a_browser_on_any_page_may_send(client: Client, path: str) -> None:
    asked = {"origin": "https://shop.example", "access-control-request-method": "POST"}
    preflight = client.request("OPTIONS", path, headers=asked)
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == "*"
    assert "authorization" in preflight.headers["access-control-allow-headers"]
    assert "access-control-allow-credentials" not in preflight.headers
    refused = client.post(path, content=GOOD, headers={"origin": "https://shop.example"})
    assert refused.headers["access-control-allow-origin"] == "*"
