"""Holds messages against their event's schema. What it finds is a sign of quality: it refuses nothing.

Whether a record counts as an event is decided by `spark_jobs/transforms/parse.py` alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs

from contracts.kinds import CALL_TYPES
from contracts.reasons import Reason
from contracts.schemas import EVENTS, EventSchema, catalogue

UNKNOWN_EVENT = "unknown_event"
UNKNOWN_VERSION = "unknown_version"
UNREADABLE = "unreadable"
_NOTES = frozenset({UNKNOWN_EVENT})
_PLAIN_LEAVES = (str, int, float, bool, type(None))


@dataclass(frozen=True, slots=True)
class Finding:
    """One way in which a message departs from its schema; it holds names of the schema's, never a value sent.

    `event` and `version` name the schema; where there is none the event is as sent and the version None.
    `pointer` is the place in the message (RFC 6901; "" is the whole), `keyword` the schema's rule.
    """

    event: str
    version: int | None
    pointer: str
    keyword: str
    message: str

    @property
    def is_note(self) -> bool:
        """Whether it only says that there is no contract: custom events are welcome."""
        return self.keyword in _NOTES


def findings(message: Mapping[str, Any], call_type: str | None = None, folder: Path = EVENTS) -> list[Finding]:
    """What is amiss in one decoded message, by pointer and keyword; empty where it conforms.

    `call_type` is the entrance's (None: the message's own `type`). Numbers may be the text they were written in.
    The schema is the version the sender names in `context.protocols.event_version`, else the newest.
    An event without a schema gives one `unknown_event`, a note; a message without type or name gives one finding.
    Never raises for what the sender wrote.
    """
    call = call_type or message.get("type")
    if call not in CALL_TYPES:
        return [Finding("", None, "/type", Reason.UNKNOWN_TYPE, f"is none of {', '.join(CALL_TYPES)}")]
    sent = message.get("event") if call == "track" else call
    if not isinstance(sent, str) or not sent.strip():
        return [Finding("", None, "/event", Reason.MISSING_EVENT_NAME, "must name the event")]
    known = _validators(folder).get((call, sent.strip().lower()))
    if known is None:
        return [Finding(sent, None, "/event", UNKNOWN_EVENT, "has no contract")]
    asked = _version_asked(message)
    chosen = known[max(known)] if asked is None else known.get(asked)
    if chosen is None:
        where = "/context/protocols/event_version"
        return [Finding(sent, None, where, UNKNOWN_VERSION, "is no published version of this event")]
    schema, validator = chosen
    try:
        found = [_finding(schema, error) for error in _errors(validator, _plain(message))]
    except (ValueError, RecursionError):
        return [Finding(schema.event, schema.version, "", UNREADABLE, "cannot be held against its contract")]
    return sorted(found, key=lambda one: (one.pointer, one.keyword, one.message))


Compiled = dict[int, tuple[EventSchema, jsonschema_rs.Draft202012Validator]]


@cache
def _validators(folder: Path) -> dict[tuple[str, str], Compiled]:
    known = catalogue(folder)
    compiled: dict[tuple[str, str], Compiled] = {}
    for schema in known.events:
        versions = compiled.setdefault((schema.call_type, schema.event.lower()), {})
        versions[schema.version] = (schema, known.validator(schema))
    return compiled


def _version_asked(message: Mapping[str, Any]) -> int | None:
    context = message.get("context")
    protocols = context.get("protocols") if isinstance(context, Mapping) else None
    asked = protocols.get("event_version") if isinstance(protocols, Mapping) else None
    if asked is None or isinstance(asked, bool):
        return None
    whole = str(asked).removesuffix(".0")
    return int(whole) if whole.isascii() and whole.isdigit() and len(whole) < 10 else -1  # noqa: PLR2004 - no version is longer


def _plain(value: Any) -> Any:
    """The same without subclasses of str: the validator knows JSON's own types alone."""
    kind = type(value)
    if kind is dict:
        return {name: inner if type(inner) is str else _plain(inner) for name, inner in value.items()}
    if kind is list:
        return [_plain(inner) for inner in value]
    return value if kind in _PLAIN_LEAVES else str(value)


def _errors(validator: jsonschema_rs.Draft202012Validator, message: Any) -> list[jsonschema_rs.ValidationError]:
    return [] if validator.is_valid(message) else list(validator.iter_errors(message))


def _finding(schema: EventSchema, error: jsonschema_rs.ValidationError) -> Finding:
    pointer = "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in error.instance_path)
    return Finding(schema.event, schema.version, pointer, error.kind.name, _says(error.kind.name, error.kind.value))


def _says(keyword: str, rule: Any) -> str:
    """The schema's rule in words. The validator's own message would quote the value."""
    if keyword == "required":
        return f"lacks {rule}"
    if keyword == "type":
        return f"must be of type {', '.join(rule) if isinstance(rule, list) else rule}"
    if keyword == "anyOf" and all(isinstance(one, dict) and set(one) == {"required"} for one in rule):
        return f"must have {' or '.join(', '.join(one['required']) for one in rule)}"
    if keyword == "pattern":
        return f"is not written as {rule}"
    return f"does not keep to {keyword} {rule}" if isinstance(rule, int | float) else f"does not keep to {keyword}"
