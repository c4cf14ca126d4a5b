"""What records say of device, source and place, read here by the oracle itself, understood by the enrichment's lists.

The lists and their look-ups are held against third parties in their own tests; what is checked here is everything
around them: what is read, which event decides, how it is counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import pyarrow as pa

from spark_jobs.transforms.enrich.channel import Campaign
from spark_jobs.transforms.enrich.record import NOT_ENRICHED, Reference, Said, enrich, reference_of

QUARTER: Final = 900_000_000
_OF_RECORD: Final = (
    *("device_class", "os", "browser", "is_declared_bot"),
    *("source", "medium", "campaign", "channel", "landing", "country"),
)
_OF_TIME: Final = ("local_hour", "local_weekday", "season", "holiday", "sale_event")
NAMES: Final = (*_OF_RECORD, "zone")
SCHEMA: Final = [pa.field(name, pa.bool_() if name == "is_declared_bot" else pa.string()) for name in NAMES]
LOCAL: Final = pa.schema(
    [
        ("zone", pa.string()),
        ("country", pa.string()),
        ("quarter", pa.int64()),
        *((name, pa.int64() if name.startswith("local_") else pa.string()) for name in _OF_TIME),
    ],
)
ABSENT: Final = tuple(None for _ in NAMES)


class Enriching:
    """The enrichment that a set of rules asks for."""

    def __init__(self, rules: Mapping[str, str]) -> None:
        self._reference: Reference | None = reference_of(rules) if rules["enrichment"] == "on" else None

    def of_record(self, envelope: dict[str, Any], message: dict[str, Any]) -> tuple[Any, ...]:
        """The values of `NAMES` for one record."""
        context = _member(message, "context")
        zone = _words(context.get("timezone"))
        reference = self._reference
        found = enrich(_said(envelope, message, context), reference) if reference else NOT_ENRICHED
        return (*(getattr(found, name) for name in _OF_RECORD), zone)

    def of_times(self, rows: Iterable[tuple[str | None, str | None, int]]) -> pa.Table:
        """`LOCAL` for each (zone, country, quarter of an hour since 1970)."""
        made = []
        for zone, country, quarter in rows:
            at = self._reference and self._reference.local_time(quarter * QUARTER, zone, country)
            values = (at.hour, at.weekday, at.season, at.holiday, at.sale_event) if at else (None,) * len(_OF_TIME)
            made.append(dict(zip(LOCAL.names, (zone, country, quarter, *values), strict=True)))
        return pa.Table.from_pylist(made, LOCAL)


def _said(envelope: dict[str, Any], message: dict[str, Any], context: dict[str, Any]) -> Said:
    """Whose device it was, by what the sender says; what the entrance saw counts where nobody else spoke for it."""
    header, library = _words(envelope.get("userAgent")), _words(_member(context, "library").get("name"))
    is_app = bool(_words(_member(context, "app").get("name")))
    by_another = bool(library and header and not is_app and not header.startswith("Mozilla/"))
    seen = (None, None) if by_another else (header, _words(envelope.get("ip")))
    page = dict(_member(context, "page"))
    if envelope.get("type") == "page":
        properties = _member(message, "properties")
        page |= {
            name: properties[name] for name in ("url", "path", "search", "referrer") if _words(properties.get(name))
        }
    url, path, search, referrer = (_words(page.get(name)) for name in ("url", "path", "search", "referrer"))
    if url is None and search is not None:
        url = f"{path or ''}?{search.removeprefix('?')}"
    campaign = _member(context, "campaign")
    named = [_words(campaign.get(name)) for name in ("name", "source", "medium", "term", "content")]
    return Said(
        _words(context.get("userAgent")) or seen[0],
        is_app,
        referrer,
        url or path,
        Campaign(*named) if campaign else None,
        _words(context.get("ip")) or seen[1],
        None,
        0,
    )


def _member(parent: dict[str, Any], name: str) -> dict[str, Any]:
    child = parent.get(name)
    return child if isinstance(child, dict) else {}


def _words(value: Any) -> str | None:
    return str(value) if isinstance(value, str) and value else None
