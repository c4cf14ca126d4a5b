"""A request's messages, each as the bytes its sender wrote."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from speed_layer.collector.answers import Problem

# Segment's own limit; it bounds the answer and the time one request may take.
MOST_EVENTS: Final = 2500
_IGNORED: Final = ("context", "integrations")


@dataclass(frozen=True, slots=True)
class Batch:
    """Messages in their order, the batch's `sentAt`, and the names of its members that have no effect."""

    messages: list[bytes]
    sent_at: str | None = None
    ignored: tuple[str, ...] = ()


class _Context(msgspec.Struct):
    consent: Any = None


class _Batch(msgspec.Struct):
    batch: list[msgspec.Raw]
    sentAt: Any = None  # noqa: N815 - Segment's name
    context: _Context | None = None
    integrations: dict[str, Any] | None = None


_DECODER: Final = msgspec.json.Decoder(_Batch)
_TEXT: Final = msgspec.json.Decoder(str)
_PARTS: Final = re.compile(rb'"(?:[^"\\]|\\.)*(?:"|\\?\Z)|[\[\]{},:]', re.DOTALL)


def parse_batch(body: bytes) -> Batch:
    """The messages of a `/v1/batch` body. Raises `Problem` (400, 413) where it is none, or is empty.

    A batch's own `context` and `integrations` are not merged into its messages, whose bytes stay their sender's;
    they are named in the answer. Consent there would be overlooked: it is refused.
    """
    try:
        batch = _parse_strictly(body)
    except msgspec.ValidationError as error:
        raise _not_a_batch(f"The body is not a batch: {error}.") from error
    except (ValueError, RecursionError) as error:
        # One broken message must not cost the others: cut at brackets, and let each be judged by itself.
        parts = split(body)
        if parts is None:
            raise _not_a_batch("The body is not JSON.") from error
        batch = parts
    if not batch.messages:
        raise _not_a_batch("The batch is empty.")
    if len(batch.messages) > MOST_EVENTS:
        raise Problem(413, "too-many-events", f"The batch has over {MOST_EVENTS} events.", "Send smaller batches.")
    return batch


def _parse_strictly(body: bytes) -> Batch:
    parsed = _DECODER.decode(body)
    if parsed.context is not None and parsed.context.consent is not None:
        raise _consent_of_batch()
    ignored = tuple(name for name in _IGNORED if getattr(parsed, name) is not None)
    sent_at = parsed.sentAt if isinstance(parsed.sentAt, str) else None
    return Batch([bytes(raw) for raw in parsed.batch], sent_at, ignored)


def split(body: bytes) -> Batch | None:
    """The messages of a batch one of which is not JSON (`NaN`, nested too deeply); None where brackets do not close."""
    members = dict(_members(body))
    listed = members.get(b'"batch"')
    if listed is None or not listed.startswith(b"["):
        return None
    if b'"consent"' in members.get(b'"context"', b""):
        raise _consent_of_batch()
    try:
        sent_at = _TEXT.decode(members.get(b'"sentAt"', b"null"))
    except (ValueError, RecursionError):
        sent_at = None
    ignored = tuple(name for name in _IGNORED if f'"{name}"'.encode() in members)
    return Batch([item for _, item in _cut(listed)], sent_at, ignored)


def _members(body: bytes) -> Iterator[tuple[bytes, bytes]]:
    body = body.strip()
    return _cut(body) if body.startswith(b"{") else iter(())


def _cut(container: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(key, value) of each child of an object, (b"", value) of an array; nothing where its brackets do not close."""
    children: list[tuple[bytes, bytes]] = []
    depth, start, key = 0, 1, b""
    has_keys = container.startswith(b"{")
    for part in _PARTS.finditer(container):
        token = part.group()
        if token in b"{[":
            depth += 1
        elif depth == 1 and token == b":" and has_keys:
            key, start = container[start : part.start()].strip(), part.end()
        elif depth == 1 and token in b",]}":
            children.append((key, container[start : part.start()].strip()))
            key, start = b"", part.end()
        if token in b"]}":
            depth -= 1
            if depth == 0:
                return iter(children if part.end() == len(container) else ())
    return iter(())


def _not_a_batch(detail: str) -> Problem:
    return Problem(400, "not-a-batch", detail, 'Send {"batch": [message, ...]} as JSON in UTF-8.')


def _consent_of_batch() -> Problem:
    return Problem(
        400,
        "consent-of-batch",
        "The batch's context has a consent, which would not reach its messages.",
        "Put context.consent on each message.",
    )
