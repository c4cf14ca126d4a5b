"""The speed store: partials of what has arrived since the cut, and the control tables that make them exact.

    store = open_store(url)
    with store.read() as reader: ...    # one snapshot for everything read inside
    with store.write() as writer: ...   # one transaction, writers one after the other, everything or nothing

There is no other way in.
"""

from speed_layer.store.folding import Combine
from speed_layer.store.reader import Reader
from speed_layer.store.records import (
    Block,
    Cut,
    DimensionVersion,
    FoldReport,
    Generation,
    Log,
    Progress,
    Published,
    Recorded,
    Segment,
    Span,
    SpeedPart,
    State,
)
from speed_layer.store.speed import speed_part
from speed_layer.store.store import Store, open_store
from speed_layer.store.writer import Writer

__all__ = [
    "Block",
    "Combine",
    "Cut",
    "DimensionVersion",
    "FoldReport",
    "Generation",
    "Log",
    "Progress",
    "Published",
    "Reader",
    "Recorded",
    "Segment",
    "Span",
    "SpeedPart",
    "State",
    "Store",
    "Writer",
    "open_store",
    "speed_part",
]
