"""The tables of the speed store. Offsets are JSON text, times ISO 8601 text, both the same in every database."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    event,
)

from contracts.names import Offsets, dump_offsets, load_offsets

VERSION = 1


class OffsetVector(TypeDecorator[Offsets]):
    """An exclusive offset per partition."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Offsets | None, dialect: object) -> str | None:
        """The text to keep."""
        return None if value is None else dump_offsets(value)

    def process_result_value(self, value: Any, dialect: object) -> Offsets | None:
        """What was kept."""
        return None if value is None else load_offsets(value)


class Instant(TypeDecorator[datetime]):
    """An aware datetime, kept as UTC."""

    impl = String(32)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: object) -> str | None:
        """The text to keep."""
        if value is not None and value.tzinfo is None:
            raise ValueError("a time without a zone: pass an aware datetime")
        return None if value is None else value.astimezone(UTC).isoformat(timespec="microseconds")

    def process_result_value(self, value: Any, dialect: object) -> datetime | None:
        """What was kept."""
        return None if value is None else datetime.fromisoformat(value)


def _key(name: str) -> Column[Any]:
    return Column(name, BigInteger, primary_key=True, autoincrement=False)


def _need(name: str, kind: Any = BigInteger, *args: Any) -> Column[Any]:
    return Column(name, kind, *args, nullable=False)


metadata = MetaData()

# One row. `identity` is random: a process that finds another one is not talking to the store it opened.
store_info = Table("store_info", metadata, _key("version"), _need("identity", String(32)))

logs = Table(
    "logs",
    metadata,
    _key("number"),
    _need("topic", Text),
    Column("topic_id", String(64), nullable=False, unique=True),
    _need("registered_at", Instant),
)

generations = Table(
    "generations",
    metadata,
    _key("number"),
    _need("log", BigInteger, ForeignKey("logs.number")),
    _need("start", OffsetVector),
    _need("semantics_hash", String(128)),
    Column("anchor_run", Text),
    _need("state", String(16)),
    _need("created_at", Instant),
    _need("reason", Text),
)

segments = Table(
    "segments",
    metadata,
    Column("generation", BigInteger, ForeignKey("generations.number"), primary_key=True, autoincrement=False),
    _key("number"),
    _need("first_batch"),
    Column("last_batch", BigInteger),
    Column("run_id", Text),
    _need("is_dropped", Boolean),
)


def _segment() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(["generation", "segment"], ["segments.generation", "segments.number"])


progress = Table(
    "progress",
    metadata,
    _key("generation"),
    _key("batch"),
    _need("from_offsets", OffsetVector),
    _need("to_offsets", OffsetVector),
    _need("batch_time_ms"),
    _need("semantics_hash", String(128)),
    _need("segment"),
    _segment(),
)

blocks = Table(
    "blocks",
    metadata,
    _key("generation"),
    _key("segment"),
    Column("measure", String(64), primary_key=True),
    _key("from_batch"),
    _need("to_batch"),
    _need("level"),
    _need("rows"),
    _need("bytes"),
    _need("payload", LargeBinary),
    _segment(),
)
Index("blocks_by_end", blocks.c.generation, blocks.c.to_batch)

cuts = Table(
    "cuts",
    metadata,
    Column("run_id", Text, primary_key=True),
    _need("generation"),
    _need("segment"),
    _need("batch"),
    _need("offsets", OffsetVector),
    _need("semantics_hash", String(128)),
    Column("bronze_version", BigInteger),
    _need("sealed_at", Instant),
    _segment(),
)

published = Table(
    "published",
    metadata,
    Column("run_id", Text, ForeignKey("cuts.run_id"), primary_key=True),
    Column("sequence", BigInteger, nullable=False, unique=True),
    _need("manifest_path", Text),
    _need("published_at", Instant),
    Column("previous", Text),
)

pointer = Table(
    "pointer",
    metadata,
    _key("id"),
    _need("run_id", Text, ForeignKey("published.run_id")),
    _need("moved_at", Instant),
)

notes = Table("notes", metadata, Column("name", String(128), primary_key=True), _need("value", Text))


@event.listens_for(blocks, "after_create")
def _store_payload_as_is(_table: object, connection: Connection, **_: object) -> None:
    """Payloads are compressed already; without this PostgreSQL would try again on every insert."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("ALTER TABLE blocks ALTER COLUMN payload SET STORAGE EXTERNAL")
