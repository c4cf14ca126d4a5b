"""One load: the file's rows merged with what is held, one Delta commit, then the version that answers are read with.

What dies in between leaves the version that is read as it was; loading the same file again puts it right.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Field, Schema, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from contracts.algebra import instants, naive
from contracts.dimensions import CAMPAIGN_COSTS, DIMENSIONS, EXCHANGE_RATES, PRODUCTS, Dimension
from contracts.errors import DimensionBusy, DimensionInvalid, WarehouseDamaged
from contracts.settings import Settings
from infra.dimensions import rows as parsing
from infra.dimensions.history import changed_keys, history, replaced, snapshot
from infra.dimensions.rows import Loadable
from serving.dimensions import rows_at
from speed_layer import failpoints
from speed_layer.store import DimensionVersion, Store
from speed_layer.store.runs import Manifest

# As Spark sets them for every other table (spark_jobs/session.py): reader version 1.
_PROPERTIES = {"delta.enableDeletionVectors": "false", "delta.checkpointPolicy": "classic"}
_TRIES = 5

Merged = Callable[[pa.Table], pa.Table]


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a load did. `changed` counts products (or keys) whose rows are others now; 0 made no new version."""

    table: str
    version: int
    rows: int
    changed: int
    stored: int
    ignored_columns: tuple[str, ...]


def load_catalogue(
    settings: Settings,
    store: Store,
    path: Path,
    valid_from: datetime | None,
    now: datetime,
    *,
    is_complete: bool,
    anew: bool,
) -> Loaded:
    """Load a catalogue: a snapshot as of `valid_from` (None: `now`), or a history. Raises `DimensionInvalid`."""
    given = parsing.catalogue(path, settings)
    if given.is_history and (valid_from or is_complete):
        raise DimensionInvalid(
            f"{path.name} says itself when its rows hold: it is a history, not a snapshot",
            "Leave out --valid-from and --complete, or the columns valid_from and valid_to.",
        )
    at = (valid_from or now).astimezone(UTC)

    def merged(held: pa.Table) -> pa.Table:
        if given.is_history:
            return history(held, given.rows)
        return snapshot(held, given.rows, at, is_complete=is_complete)

    return _load(settings, store, PRODUCTS, given, merged, now, anew=anew)


def load_campaign_costs(settings: Settings, store: Store, path: Path, now: datetime, *, anew: bool) -> Loaded:
    """Load costs: rows of a day, channel, campaign and currency replace those held. Raises `DimensionInvalid`."""
    given = parsing.campaign_costs(path, settings)
    return _load(settings, store, CAMPAIGN_COSTS, given, _replacing(CAMPAIGN_COSTS, given), now, anew=anew)


def load_exchange_rates(settings: Settings, store: Store, path: Path, now: datetime, *, anew: bool) -> Loaded:
    """Load rates: rows of a day and pair of currencies replace those held. Raises `DimensionInvalid`."""
    given = parsing.exchange_rates(path, settings)
    return _load(settings, store, EXCHANGE_RATES, given, _replacing(EXCHANGE_RATES, given), now, anew=anew)


def held_rows(settings: Settings, store: Store, dimension: Dimension) -> pa.Table:
    """The rows that answers are read with; none before the first load. Raises `WarehouseDamaged`."""
    with store.read() as reader:
        version = reader.dimensions().get(dimension.name)
    return rows_at(settings, dimension, version) if version else naive(dimension.schema.empty_table())


def newest_versions(settings: Settings, manifest: Manifest, now: datetime) -> dict[str, DimensionVersion]:
    """What a lost store read with: the newest version of each table. Raises `WarehouseDamaged` where one is missing."""
    found: dict[str, DimensionVersion] = {}
    for name, dimension in DIMENSIONS.items():
        path = settings.table_path(dimension.table)
        if DeltaTable.is_deltatable(path):
            found[name] = _version(_opened(path), now)
        elif name in manifest.dimensions:
            raise WarehouseDamaged(f"Table {path} is gone", _remedy(dimension))
        if name in found:
            rows_at(settings, dimension, found[name])
    return found


def _replacing(dimension: Dimension, given: Loadable) -> Merged:
    return lambda held: replaced(dimension, held, given.rows)


def _load(
    settings: Settings,
    store: Store,
    dimension: Dimension,
    given: Loadable,
    merged: Merged,
    now: datetime,
    *,
    anew: bool,
) -> Loaded:
    """Merge, then commit if what was merged with is still there, and make the version the one that is read.

    Commits happen under the writers' lock: of two tables made at once, delta-rs lets one replace the other.
    """
    path = settings.table_path(dimension.table)
    for _ in range(_TRIES):
        table = _existing(settings, store, dimension, anew=anew)
        held = rows_at(settings, dimension, _version(table, now)) if table else naive(dimension.schema.empty_table())
        after = merged(held)
        changed = changed_keys(dimension, held, after)
        try:
            with store.write() as writer:
                if not _is_newest(path, table):
                    continue
                version = _version(_committed(path, table, after if changed else None, dimension, now), now)
                failpoints.reach("dimension.committed")
                writer.set_dimension(dimension.name, version)
        except CommitFailedError:
            continue
        except (DeltaError, OSError) as error:
            why = str(error).splitlines()[0]
            raise WarehouseDamaged(f"Table {path} cannot be written: {why}", "Check space and permissions.") from error
        return Loaded(dimension.table, version.version, given.rows.num_rows, changed, after.num_rows, given.ignored)
    raise DimensionBusy(f"Others write {dimension.table} all the time", "Load it when they are done.")


def _existing(settings: Settings, store: Store, dimension: Dimension, *, anew: bool) -> DeltaTable | None:
    """The table; None where it is to be made. Raises `WarehouseDamaged` where what was loaded is gone."""
    path = settings.table_path(dimension.table)
    table = _opened(path) if DeltaTable.is_deltatable(path) else None
    with store.read() as reader:
        known = reader.dimensions().get(dimension.name)
    is_whole = table and known and str(table.metadata().id) == known.table_id and table.version() >= known.version
    if known and not is_whole and not anew:
        raise WarehouseDamaged(f"Table {path} was loaded up to version {known.version} and is gone", _remedy(dimension))
    return table


def _is_newest(path: str, table: DeltaTable | None) -> bool:
    """Whether the table is still as it was opened, or still missing."""
    if table is None or not DeltaTable.is_deltatable(path):
        return table is None and not DeltaTable.is_deltatable(path)
    now = _opened(path)
    return (now.version(), now.metadata().id) == (table.version(), table.metadata().id)


def _committed(
    path: str, table: DeltaTable | None, rows: pa.Table | None, dimension: Dimension, now: datetime
) -> DeltaTable:
    """The table, made where it is missing, with these rows (None: as they are)."""
    table = table or _created(path, dimension)
    if rows is not None:
        _commit(table, rows, dimension, now)
    return table


def _remedy(dimension: Dimension) -> str:
    command = {PRODUCTS.name: "catalog", CAMPAIGN_COSTS.name: "costs", EXCHANGE_RATES.name: "rates"}[dimension.name]
    return f"Restore its folder, or begin it anew: `tidemark {command} load FILE --anew`."


def _opened(path: str) -> DeltaTable:
    try:
        return DeltaTable(path)
    except (DeltaError, TableNotFoundError, OSError) as error:
        raise WarehouseDamaged(
            f"Table {path} cannot be read: {str(error).splitlines()[0]}",
            "Restore its folder; or move it away and load the file with --anew.",
        ) from error


def _created(path: str, dimension: Dimension) -> DeltaTable:
    plain = Schema.from_arrow(dimension.schema).fields
    fields = [Field(f.name, f.type, nullable=f.nullable, metadata={"comment": dimension.says(f.name)}) for f in plain]
    return DeltaTable.create(
        path, Schema(fields), mode="error", description=dimension.description, configuration=_PROPERTIES
    )


def _commit(table: DeltaTable, rows: pa.Table, dimension: Dimension, now: datetime) -> None:
    """One commit, refused (`CommitFailedError`) where another came since the table was opened."""
    said = {"userMetadata": json.dumps({"loaded_at": now.isoformat()})}
    properties = CommitProperties(custom_metadata=said, max_commit_retries=0)
    typed = instants(rows).cast(dimension.schema)
    write_deltalake(table, typed, mode="overwrite", commit_properties=properties)


def _version(table: DeltaTable, now: datetime) -> DimensionVersion:
    return DimensionVersion(table.version(), str(table.metadata().id), now)
