"""The dimensions in the reader's DuckDB: tables `dimension_<name>`, at the versions that `as_of` names."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from contracts.algebra import Connection, naive, naming
from contracts.dimensions import DIMENSIONS, Dimension, macros
from contracts.errors import WarehouseDamaged
from contracts.settings import Settings
from speed_layer.store import DimensionVersion

Versions = Mapping[str, DimensionVersion]


class Dimensions:
    """Loads what is named and not held yet. A dimension that nobody has loaded is an empty table."""

    def __init__(self, settings: Settings, con: Connection) -> None:
        self._settings, self._con = settings, con
        self._held: Versions = {}
        for statement in macros(settings.reporting_currency):
            con.execute(statement)
        for dimension in DIMENSIONS.values():
            with naming(con, given=naive(dimension.schema.empty_table())):
                con.execute(f"CREATE TABLE dimension_{dimension.name} AS SELECT * FROM given")

    def take(self, wanted: Versions) -> None:
        """Load these versions, in the caller's transaction. Raises `WarehouseDamaged` where one cannot be read."""
        for name, dimension in DIMENSIONS.items():
            version = wanted.get(name)
            if version == self._held.get(name):
                continue
            self._con.execute(f"DELETE FROM dimension_{name}")
            if version:
                with naming(self._con, given=rows_at(self._settings, dimension, version)):
                    order = ", ".join(dimension.keys)
                    self._con.execute(f"INSERT INTO dimension_{name} SELECT * FROM given ORDER BY {order}")

    def settle(self, held: Versions) -> None:
        """The caller's transaction holds: these are loaded."""
        self._held = dict(held)


def rows_at(settings: Settings, dimension: Dimension, wanted: DimensionVersion) -> pa.Table:
    """The rows of a version, naive. Raises `WarehouseDamaged` where it cannot be read or is another table's."""
    path = settings.table_path(dimension.table)
    try:
        table = DeltaTable(path, version=wanted.version)
        if str(table.metadata().id) != wanted.table_id:
            raise ValueError("another table lies there")  # noqa: TRY301 - one way to say that it is damaged
        rows = table.to_pyarrow_table()
        return naive(rows.select(dimension.schema.names).cast(dimension.schema))
    except (DeltaError, TableNotFoundError, OSError, ValueError, KeyError) as error:
        raise WarehouseDamaged(
            f"Table {path} at version {wanted.version} cannot be read: {str(error).splitlines()[0]}",
            "Restore its folder, or begin it anew: `tidemark catalog load FILE --anew` (`costs`, `rates`).",
        ) from error
