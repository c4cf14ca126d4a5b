"""Dead letters have one shape, whoever refused; and say where a message is amiss, as far as its contract knows."""

from __future__ import annotations

import json

import pytest

from contracts.letters import Failure, Letter, Stage, failure_of
from contracts.reasons import EXPLANATIONS, Reason

ORDER = {"type": "track", "event": "Order Completed", "userId": "u", "properties": {"order_id": "o", "total": "12,50"}}


def raw(message: object) -> bytes:
    return json.dumps(message).encode()


def test_a_letter_survives_its_record() -> None:
    failure = Failure("live", "bad_money", "/properties/total", "why", 1)
    letter = Letter("1:0:7", failure, "1:0:7", "2024-03-01T10:00:00Z", "web", 3, b"\xff{}")
    assert Letter.from_bytes(letter.to_bytes()) == letter
    bare = Letter("a", Failure("replay", "bad row", None, "bad row", None), None, None, None, 0, b"")
    assert Letter.from_bytes(bare.to_bytes()) == bare


def test_a_letter_is_cut_but_says_its_size() -> None:
    letter = Letter("a", failure_of(Stage.COLLECTOR, Reason.TOO_LARGE, b""), None, None, None, 70_000, b"x" * 70_000)
    found = Letter.from_bytes(letter.to_bytes())
    assert (len(found.raw), found.size) == (64 * 1024, 70_000)


@pytest.mark.parametrize(
    "value", [b"", b"7", b"[]", b"{}", b'{"id":"a","failure":[],"raw":""}', b'{"id":"a","raw":"%"}']
)
def test_what_is_no_letter_is_said(value: bytes) -> None:
    with pytest.raises(ValueError, match="no dead letter"):
        Letter.from_bytes(value)


@pytest.mark.parametrize(
    ("stage", "code", "text", "call", "path", "version"),
    [
        (Stage.COLLECTOR, Reason.BAD_MONEY, raw(ORDER), None, "/properties/total", 1),
        (Stage.COLLECTOR, Reason.BAD_MONEY, raw(ORDER), "track", "/properties/total", 1),
        (Stage.LIVE, Reason.BAD_MONEY, raw({"type": "track", "message": ORDER}), None, "/properties/total", 1),
        (Stage.LIVE, Reason.NOT_AN_ENVELOPE, raw(["x"]), None, None, None),
        (Stage.REPLAY, Reason.NOT_JSON, b'{"a":', None, None, None),
        (Stage.COLLECTOR, Reason.TOO_DEEP, b"[" * 10_000, None, None, None),
        (Stage.COLLECTOR, Reason.ILLEGAL_ID, raw({"type": "track", "event": "Ours", "userId": "u"}), None, None, None),
    ],
)
def test_where_a_message_is_amiss(
    stage: Stage, code: Reason, text: bytes, call: str | None, path: str | None, version: int | None
) -> None:
    found = failure_of(stage, code, text, call)
    assert found == Failure(stage.value, code.value, path, EXPLANATIONS[code], version)


def test_a_replay_s_own_words_are_kept() -> None:
    assert failure_of(Stage.REPLAY, "too few columns", b"line 7").message == "too few columns"
