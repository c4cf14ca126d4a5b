"""What a message says of its device, page, campaign and place: read here, understood in `enrich`."""

from __future__ import annotations

from typing import Any, Final

from spark_jobs.transforms.enrich.channel import Campaign
from spark_jobs.transforms.enrich.record import Said
from spark_jobs.transforms.leaves import text

_CAMPAIGN: Final = ("name", "source", "medium", "term", "content")


def page_of(call_type: str, properties: dict[str, Any], context: dict[str, Any], name: str) -> str | None:
    """A fact of the page: of a page call its properties say it first, of any other call only `context.page`."""
    own = text(properties.get(name)) if call_type == "page" else None
    return own or text(object_of(context, "page").get(name))


def said_of(
    envelope: dict[str, Any],
    call_type: str,
    properties: dict[str, Any],
    context: dict[str, Any],
    event_time: int,
) -> Said:
    """What enrichment reads of a message and of what the entrance stamped on it.

    Address and User-Agent header are the visitor's own only where the visitor's device sent the message: a library
    that is neither a browser's nor an app's speaks for somebody else.
    """
    is_app = text(object_of(context, "app").get("name")) is not None
    header = text(envelope.get("userAgent"))
    library = text(object_of(context, "library").get("name"))
    is_own = is_app or library is None or header is None or header.startswith("Mozilla/")
    campaign = object_of(context, "campaign")
    return Said(
        text(context.get("userAgent")) or (header if is_own else None),
        is_app,
        page_of(call_type, properties, context, "referrer"),
        _url(call_type, properties, context),
        Campaign(*(text(campaign.get(name)) for name in _CAMPAIGN)) if campaign else None,
        text(context.get("ip")) or (text(envelope.get("ip")) if is_own else None),
        text(context.get("timezone")),
        event_time,
    )


def _url(call_type: str, properties: dict[str, Any], context: dict[str, Any]) -> str | None:
    if url := page_of(call_type, properties, context, "url"):
        return url
    path, search = (page_of(call_type, properties, context, name) for name in ("path", "search"))
    return f"{path or ''}?{(search or '').removeprefix('?')}" if search else path


def object_of(parent: dict[str, Any], name: str) -> dict[str, Any]:
    """The object of that name; an empty one where there is none, or something else."""
    child = parent.get(name)
    return child if type(child) is dict else {}
