"""How much of the simulator's hidden truth is found again: sessions, declared robots, channels and campaigns.

No stack: the pure functions that run live and nightly, over one simulated world, held against what really happened.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pyarrow as pa

from contracts.algebra import Algebra, connect
from contracts.envelope import KEY_HEADER, Entered, Stamp, enter
from contracts.privacy import InstallationKeys
from contracts.settings import Settings
from spark_jobs.transforms.batches import RECORD, outcome
from speed_layer.replay import open_source
from speed_layer.replay.message import BadRow
from speed_layer.replay.simulator import PersonTruth, SessionTruth

_KEYS = InstallationKeys(b"a secret of benchmarks", b"an attribute key")
# What the simulator calls a way in -> GA4's default channel group. A video site is a channel of its own there.
_CHANNELS = {
    "direct": "Direct",
    "organic_search": "Organic Search",
    "paid_search": "Paid Search",
    "organic_social": "Organic Social",
    "paid_social": "Paid Social",
    "email": "Email",
    "referral": "Referral",
    "ai_assistant": "AI Assistants",
}


def run(events: int = 200_000, seed: int = 5) -> dict[str, Any]:
    """Precision and recall over a world of about `events` messages in two days."""
    source = open_source(f"sim:seed={seed},days=2,events_target={events}")
    records = _records(source)
    truth = source.truth
    if truth is None:
        raise RuntimeError("the simulator told no truth")
    rules = Settings().rules
    partials = Algebra.of(rules).partials(connect(), outcome(records, rules).events)
    sessions = partials["sessions"].to_pylist()
    told = [t for t in truth.records() if isinstance(t, SessionTruth) and t.has_consent]
    people = [t for t in truth.records() if isinstance(t, PersonTruth)]
    return {
        "records": records.num_rows,
        "sessions": _scores(
            {(s["visitor"], s["start_at"], s["last_at"], s["events"]) for s in sessions},
            {(t.visitor, t.start.replace(tzinfo=None), t.last.replace(tzinfo=None), t.event_count) for t in told},
        ),
        "bots": _bots(sessions, people),
        "sources": _sources(sessions, told),
    }


def _records(source: Any) -> pa.Table:
    """What the log holds of the world, copies left out."""
    rows: dict[bytes, tuple[Any, ...]] = {}
    for item in source.messages():
        if isinstance(item, BadRow):
            continue
        stamp = Stamp("2026-01-01T00:00:00Z", item.sent_at, item.ip, item.user_agent, "replay")
        entered = enter(item.raw, None, stamp, _KEYS)
        if isinstance(entered, Entered):
            key = dict(entered.headers)[KEY_HEADER]
            rows.setdefault(key, (1, 0, len(rows), 0, key, entered.value))
    columns = list(zip(*rows.values(), strict=True))
    arrays = [
        pa.array(values, pa.int64()).cast(field.type) if field.name == "broker_time" else pa.array(values, field.type)
        for values, field in zip(columns, RECORD, strict=True)
    ]
    return pa.table(arrays, schema=RECORD)


def _bots(sessions: list[dict[str, Any]], people: list[PersonTruth]) -> dict[str, Any]:
    """By visitor. Robots that hide are not declared: what is found of them says how far the user agent reaches."""
    seen = {s["visitor"] for s in sessions}
    flagged = {s["visitor"] for s in sessions if s["bot_events"]}
    of_kind = {
        kind: {v for p in people if p.kind == kind for v in p.visitors} & seen
        for kind in ("declared_bot", "undeclared_bot", "human")
    }
    return {
        "declared": _scores(flagged, of_kind["declared_bot"]),
        "all": _scores(flagged, of_kind["declared_bot"] | of_kind["undeclared_bot"]),
        "humans_flagged": len(flagged & of_kind["human"]),
    }


def _sources(sessions: list[dict[str, Any]], told: list[SessionTruth]) -> dict[str, Any]:
    """Of sessions found with their very start: those with the channel and with the campaign that really led there."""
    truth = {(t.visitor, t.start.replace(tzinfo=None)): t for t in told if not t.is_odd_clock}
    same, campaigns, none = 0, 0, 0
    wrong: Counter[str] = Counter()
    for session in sessions:
        one = truth.get((session["visitor"], session["start_at"]))
        if one is None:
            continue
        touch = session["touch"]
        none += touch is None
        if touch is None:
            continue
        expected = "Organic Video" if one.source == "youtube" else _CHANNELS[one.channel]
        same += touch["channel"] == expected
        wrong[f"{expected} -> {touch['channel']}"] += touch["channel"] != expected
        campaigns += touch["campaign"] == one.campaign
    with_source = len(truth) - none
    return {
        "sessions": len(truth),
        "without_page": none,
        "right_channel": round(same / with_source, 4),
        "right_campaign": round(campaigns / with_source, 4),
        "mistaken": {name: count for name, count in wrong.most_common(5) if count},
    }


def _scores(found: set[Any], true: set[Any]) -> dict[str, Any]:
    both = len(found & true)
    return {
        "found": len(found),
        "true": len(true),
        "precision": round(both / len(found), 4) if found else None,
        "recall": round(both / len(true), 4) if true else None,
    }
