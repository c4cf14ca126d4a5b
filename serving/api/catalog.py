"""The views as the API and the command line describe them: columns, types, what they mean, which may be summed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from contracts.dimensions import DIMENSIONS
from contracts.fields import DESCRIPTIONS
from serving.client import Tidemark
from serving.views import View

# What only views have; what tables have is in the dictionary of fields.
_OF_VIEWS: Final = {
    "is_estimate": "Whether visitors is an estimate: the sketch is exact below 4,096.",
    "net_minor": "Gross minus refunds, each in the minute of its own event.",
    "session_id": "Name of the session inside one answer; may change when a late event arrives.",
    "entry_kind": "Kind of the first journey event.",
    "entry_ref": "What the first journey event is about.",
    "exit_kind": "Kind of the last journey event.",
    "exit_ref": "What the last journey event is about.",
    "is_truncated": "Whether the trail overflowed: order questions on this session are not exact.",
    "catalogue_category": "Category in the catalogue when the bucket began; null where it is not in it.",
    "catalogue_brand": "Brand in the catalogue when the bucket began.",
    "product_name": "Name in the catalogue when the bucket began.",
    "list_price_currency": "ISO 4217 code of the list price.",
    "cost_minor": "What was spent, in minor units of currency.",
    "cost_reporting_minor": "What was spent, in minor units of reporting_currency; null without that day's rate.",
    "unconverted": "What has no exchange rate that day and is therefore in no sum of the reporting currency.",
    "rate": "The rate, rounded: for reading, not for reckoning.",
    "roas": "Gross revenue over cost; null without a cost.",
}
_OF_ONE_VIEW: Final = {
    **{(d.view, column): d.says(column) for d in DIMENSIONS.values() for column in d.schema.names},
    ("categories", "category"): "Category in the catalogue when the hour began, or (not in catalogue).",
    ("revenue_reporting", "currency"): "The reporting currency.",
    ("revenue_reporting", "unconverted"): "Orders and refunds without that day's exchange rate: in no sum of money.",
    ("sessions", "duration_ms"): "From the session's first event to its last, milliseconds.",
    ("sessions", "events"): "Events of the session.",
    ("sessions", "is_declared_bot"): "Whether one of its events was sent by a declared robot.",
    ("sessions", "channel"): "Channel of the session's first event that has a source and is not internal.",
    ("sessions", "device_class"): "Device class of the session's first event.",
    ("sessions", "country"): "Country of the session's first event.",
}
# One visitor counts once in every row it was in; a step is a position.
_NEVER_SUMMED: Final = frozenset({"visitors", "buyers", "step"})
# They say what a row is about, as text does.
_ATTRIBUTES: Final = frozenset({"list_price_minor", "rate_numerator", "rate_denominator"})
# A sum across these would add up what is not of one kind: sessions that reached step 1 and step 2, dollars and yen.
_KEPT_APART: Final = {"funnel": ("step",), "session_edges": ("role",), "traffic_by": ("breakdown",)}


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a view; `type` is DuckDB's."""

    name: str
    type: str
    description: str

    @property
    def is_number(self) -> bool:
        """Whether it is a 64-bit integer that counts or measures."""
        return self.type == "BIGINT" and self.name not in _ATTRIBUTES

    @property
    def is_summable(self) -> bool:
        """Whether sums over rows mean something."""
        return self.is_number and self.name not in _NEVER_SUMMED

    @property
    def is_plain(self) -> bool:
        """Whether it can be filtered, sorted and grouped by."""
        return "[" not in self.type and "(" not in self.type

    def to_json(self) -> dict[str, Any]:
        """For answers."""
        return {"name": self.name, "type": self.type, "description": self.description, "summable": self.is_summable}


@dataclass(frozen=True, slots=True)
class Described:
    """A view and its columns by name."""

    view: View
    columns: dict[str, Column]

    @property
    def kept_apart(self) -> tuple[str, ...]:
        """Columns that a sum over this view may not run across, unless only money is concerned: see `money_by`."""
        return _KEPT_APART.get(self.view.name, ())

    @property
    def money_by(self) -> tuple[str, ...]:
        """What sums of money are kept apart by."""
        return ("currency",) if "currency" in self.columns else ()

    def to_json(self) -> dict[str, Any]:
        """For answers."""
        columns = [c.to_json() for c in self.columns.values()]
        return {
            "name": self.view.name,
            "description": self.view.description,
            "time": self.view.time,
            "columns": columns,
        }


def describe(tm: Tidemark) -> dict[str, Described]:
    """Every view with its columns, by name."""
    return {name: Described(view, _columns(tm, name)) for name, view in tm.views.items()}


def description_of(view: str, column: str) -> str:
    """What a view's column means; empty where nobody has written it down."""
    return _OF_ONE_VIEW.get((view, column)) or _OF_VIEWS.get(column) or DESCRIPTIONS.get(column, "")


def _columns(tm: Tidemark, view: str) -> dict[str, Column]:
    found = tm.sql(f"DESCRIBE {view}").to_pylist()
    named = [(row["column_name"], row["column_type"]) for row in found]
    return {name: Column(name, kind, description_of(view, name)) for name, kind in named}
