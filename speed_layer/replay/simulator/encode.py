"""Writes an event as the JSON text a client library would send.

The text is put together from members that are JSON already: several times faster than a general encoder, and an
amount keeps its digits.
"""

from __future__ import annotations

from typing import Final

from speed_layer.replay.simulator.devices import Device, context_members
from speed_layer.replay.simulator.journey import Event

NO_CONSENT: Final = '"consent":{"analyse":false},'


def encode(event: Event, device: Device, message_id: str, timestamp: str, consent: str = "") -> str:
    """One message of the Segment spec. `timestamp` is written as given; `consent` is a member of context or empty."""
    user = f',"userId":"{event.user_id}"' if event.user_id else ""
    context = f"{event.context}{consent}{context_members(device.model, device.country)}"
    return (
        f'{{{event.head},"messageId":"{message_id}","anonymousId":"{device.anonymous_id}"{user}'
        f',"timestamp":"{timestamp}","context":{{{context}}},{event.body}}}'
    )
