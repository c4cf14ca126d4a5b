"""Files of dimensions, and their loads, for tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
from deltalake import DeltaTable

from contracts.dimensions import Dimension
from contracts.settings import Settings
from infra.dimensions.load import Loaded, load_campaign_costs, load_catalogue, load_exchange_rates
from speed_layer.store import DimensionVersion, Store

NOW = datetime(2024, 6, 1, tzinfo=UTC)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def catalogue(store: Store, settings: Settings, text: str, valid_from: str | None = None, **more: Any) -> Loaded:
    """Load CSV text as a catalogue."""
    chosen = {"is_complete": False, "anew": False} | more
    when = at(valid_from) if valid_from else None
    return load_catalogue(settings, store, written(settings, "catalogue.csv", text), when, NOW, **chosen)


def costs(store: Store, settings: Settings, text: str) -> Loaded:
    return load_campaign_costs(settings, store, written(settings, "costs.csv", text), NOW, anew=False)


def rates(store: Store, settings: Settings, text: str) -> Loaded:
    return load_exchange_rates(settings, store, written(settings, "rates.csv", text), NOW, anew=False)


def written(settings: Settings, name: str, content: str | bytes) -> Path:
    """A file beside the installation."""
    path = settings.home.parent / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def products(*rows: Sequence[Any]) -> str:
    """CSV of product_id, category, list_price; further values are valid_from and valid_to."""
    header = ["product_id", "category", "brand", "list_price", "valid_from", "valid_to"]
    lines = [[r[0], r[1], "", r[2], *r[3:]] for r in rows]
    return "".join(f"{','.join(map(str, line))}\n" for line in [header[: len(lines[0])], *lines])


def stored(settings: Settings, dimension: Dimension) -> list[dict[str, Any]]:
    """The rows of the newest version; none where there is no table."""
    path = settings.table_path(dimension.table)
    if not DeltaTable.is_deltatable(path):
        return []
    rows: pa.Table = DeltaTable(path).to_pyarrow_table()
    return sorted(rows.to_pylist(), key=repr)


def read_versions(store: Store) -> Mapping[str, DimensionVersion]:
    with store.read() as reader:
        return reader.dimensions()


CHANGE: Final = "2024-05-02T00:00:00Z"
# p1 is renamed at midnight, p2 ends an hour later, p3 begins in the middle of an hour, p9 is unknown before.
HISTORY: Final = products(
    ("p1", "shoes", "1.00", "2024-01-01", CHANGE),
    ("p1", "boots", "2.00", CHANGE, ""),
    ("p2", "hats", "3.00", "2024-01-01", "2024-05-02T01:00:00Z"),
    ("p3", "gloves", "4.00", "2024-05-01T23:30:00Z", ""),
    ("p9", "", "5.00", CHANGE, ""),
)


def load_all(store: Store, chosen: Settings) -> None:
    """A catalogue with a change at midnight, and some costs and rates."""
    catalogue(store, chosen, HISTORY)
    rates(store, chosen, "day,currency,rate\n2024-05-01,EUR,1.0832\n2024-05-02,EUR,1.0711\n")
    costs(
        store, chosen, "day,channel,campaign,amount,currency\n2024-05-01,Email,may,10.50,EUR\n2024-05-01,Email,,3,JPY\n"
    )
