"""Over HTTP: what the collector writes of people, in events and in dead letters."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from pathlib import Path

import pytest

from contracts.topics import EVENTS, REJECTED
from speed_layer.attribute_keys import VARIABLE, installation_keys, rotate
from speed_layer.replay import SourceMessage
from speed_layer.replay.pump import Pump
from tests.unit.collector_client import KEY, Client, Taken

ADA = "ada@mail.example"
SAID = {"type": "identify", "userId": ADA, "messageId": "m1", "timestamp": "2024-03-01T10:00:00Z"}


@pytest.fixture
def kafka(monkeypatch: pytest.MonkeyPatch) -> Taken:
    monkeypatch.delenv(VARIABLE, raising=False)
    return Taken()


@pytest.fixture
def client(kafka: Taken, tmp_path: Path) -> Client:
    return Client(kafka, tmp_path)


def test_no_record_holds_who_somebody_is(client: Client, kafka: Taken) -> None:
    good = SAID | {"traits": {"email": ADA, "name": "Ada Lovelace"}, "context": {"ip": "203.0.113.77"}}
    too_large = SAID | {"traits": {"email": ADA}, "blob": "x" * 40_000}
    nobody = {"type": "identify", "traits": {"name": "Ada Lovelace", "email": ADA}}
    answer = client.post("/v1/batch", auth=KEY, json={"batch": [good, too_large, nobody, ADA]})
    assert [d["status"] for d in answer.json()["dispositions"]] == ["accepted", *["rejected"] * 3]
    letters = [base64.b64decode(letter["raw"]) for letter in kafka.values(REJECTED.name)]
    assert len(letters) == 3
    for text in (*letters, *(record.value for record in kafka.records), *(record.key for record in kafka.records)):
        for clear in (b"ada@", b"Lovelace", b"113.77"):
            assert clear not in text


def test_one_broken_message_s_letter_is_clean_too(client: Client, kafka: Taken) -> None:
    body = b'{"batch":[{"type":"page","userId":"u"},{"userId":"%b","n":NaN,"first_name":"Ada"}]}' % ADA.encode()
    assert client.post("/v1/batch", auth=KEY, content=body).status_code == 200
    [letter] = kafka.values(REJECTED.name)
    raw = base64.b64decode(letter["raw"])
    assert b"NaN" in raw
    assert b"ada@" not in raw
    assert b'"Ada"' not in raw


def test_a_copy_after_a_rotation_has_the_same_key_without_a_restart(
    client: Client, kafka: Taken, tmp_path: Path
) -> None:
    said = SAID | {"traits": {"name": "Ada"}}
    client.post("/v1/identify", auth=KEY, json=said)
    rotated = rotate(tmp_path, datetime(2026, 3, 1, tzinfo=UTC))
    client.post("/v1/identify", auth=KEY, json=said)
    first, second = kafka.records
    assert (first.headers, first.key) == (second.headers, second.key)
    names = [envelope["message"]["traits"]["name"] for envelope in kafka.values(EVENTS.name)]
    assert names[0] != names[1]
    assert names[1].startswith(f"k{rotated.id}_")


def test_a_letter_s_name_is_of_its_bytes_and_tells_nothing_of_them(
    client: Client, kafka: Taken, tmp_path: Path
) -> None:
    good = {"type": "page", "userId": "u"}
    client.post("/v1/batch", auth=KEY, json={"batch": [good, ADA]})
    rotate(tmp_path, datetime(2026, 3, 1, tzinfo=UTC))
    client.post("/v1/batch", auth=KEY, json={"batch": [good, ADA, "b@mail.example"]})
    one, again, other = (letter["id"] for letter in kafka.values(REJECTED.name))
    assert one == again != other


def test_a_replay_s_letters_are_clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[bytes] = []
    pump = Pump("127.0.0.1:1", installation_keys(tmp_path))
    monkeypatch.setattr(pump, "_produce", lambda _topic, _key, value, _headers: sent.append(value))
    now = datetime(2026, 3, 1, tzinfo=UTC)
    pump.send(SourceMessage(b'{"type":"identify","traits":{"email":"ada@mail.example","name":"Ada"}}', now))
    pump.send(SourceMessage(b'{"type":"identify","userId":"ada@mail.example"}', now))
    assert dict(pump.counts) == {"rejected:missing_id": 1, "accepted": 1}
    letter, event = sent
    assert b"ada@" not in event
    assert b"ada@" not in base64.b64decode(letter.split(b'"raw":"')[1].split(b'"')[0])
