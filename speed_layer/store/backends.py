"""The two databases: how each is reached, and how it is made to give one snapshot and serialised writers."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, ExceptionContext, make_url
from sqlalchemy.exc import ArgumentError

from contracts.errors import SettingInvalid
from speed_layer.store.faults import unavailable

WAIT_SECONDS = 30
# Any constant will do, as long as every writer takes the same one.
_WRITERS = 7_433_617
_PRAGMAS = ("foreign_keys = ON", "synchronous = FULL", "journal_size_limit = 67108864", "temp_store = MEMORY")


@dataclass(frozen=True)
class Backend:
    """An engine, and what opens a transaction on it.

    `*_options` are execution options of the connection, `before_*` statements that run first in the transaction.
    `check` raises where the connection no longer leads to the store.
    """

    name: str
    engine: Engine
    path: Path | None = None
    read_options: dict[str, Any] = field(default_factory=dict)
    write_options: dict[str, Any] = field(default_factory=dict)
    before_write: tuple[str, ...] = ()
    check: Callable[[Connection], None] = lambda _: None


def backend(url: str) -> Backend:
    """The backend of a store URL. Raises `SettingInvalid` where the URL is not one of SQLite's or PostgreSQL's."""
    try:
        parsed = make_url(url)
        kind = parsed.get_backend_name()
    except ArgumentError as error:
        raise _not_a_store_url() from error
    if kind == "sqlite" and parsed.database and parsed.database != ":memory:":
        return _sqlite(Path(parsed.database))
    if kind == "postgresql":
        return _postgresql(parsed.set(drivername="postgresql+psycopg"))
    raise _not_a_store_url()


def _not_a_store_url() -> SettingInvalid:
    wanted = "sqlite:///FOLDER/store.sqlite or postgresql://USER@HOST/DATABASE"
    return SettingInvalid("TIDEMARK_STORE_URL does not name a store", f"Set TIDEMARK_STORE_URL to {wanted}.")


class _File(sqlite3.Connection):
    """A connection that knows which file it has open."""

    identity: tuple[int, int]


def _sqlite(path: Path) -> Backend:
    name = f"speed store {path.name}"

    def connect() -> _File:
        # mode=rw: a connection opened after the file is gone must fail, not start an empty store.
        uri = f"file:{quote(str(path))}?mode=rw"
        con = sqlite3.connect(uri, WAIT_SECONDS, isolation_level=None, check_same_thread=False, factory=_File, uri=True)
        try:
            con.identity = _identity(path)
            for pragma in _PRAGMAS:
                con.execute(f"PRAGMA {pragma}")
        except sqlite3.Error:
            con.close()
            raise
        return con

    def check(connection: Connection) -> None:
        # Where the file was deleted or replaced, this connection writes to a file nobody else will ever see.
        con = connection.connection.driver_connection
        if isinstance(con, _File) and con.identity != _identity(path):
            connection.invalidate()
            raise unavailable(name, "unable to open: the file was replaced while it was in use")

    engine = create_engine("sqlite:///store", creator=connect, pool_timeout=WAIT_SECONDS, max_overflow=40)
    event.listen(engine, "begin", _begin)
    event.listen(engine, "handle_error", _spoil)
    # BEGIN alone takes no snapshot in SQLite: the store's first read (its version) does.
    return Backend(name, engine, path, {"begin": "BEGIN"}, {"begin": "BEGIN IMMEDIATE"}, check=check)


def _identity(path: Path) -> tuple[int, int]:
    try:
        stat = path.stat()
    except FileNotFoundError:
        return (0, 0)
    return (stat.st_dev, stat.st_ino)


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))


def _spoil(context: ExceptionContext) -> None:
    # SQLite rolls back by itself on some errors (disk full) and would run what follows outside any transaction:
    # after an error the connection is thrown away, so nothing can follow.
    context.is_disconnect = True
    context.invalidate_pool_on_disconnect = False


def _postgresql(url: URL) -> Backend:
    engine = create_engine(
        url, pool_pre_ping=True, pool_timeout=WAIT_SECONDS, max_overflow=40, connect_args={"connect_timeout": 10}
    )
    return Backend(
        name=f"speed store {url.render_as_string(hide_password=True).split('?')[0]}",
        engine=engine,
        read_options={"isolation_level": "REPEATABLE READ", "postgresql_readonly": True},
        # READ COMMITTED, because at REPEATABLE READ the SELECT that waits for the lock has already fixed the snapshot,
        # from before the writer it waited for. Under the lock nobody else commits, so every statement sees one state:
        # a transaction's advisory lock is released after its commit has become visible.
        write_options={"isolation_level": "READ COMMITTED", "postgresql_readonly": False},
        before_write=(
            f"SET LOCAL lock_timeout = '{WAIT_SECONDS}s'",
            "SET LOCAL synchronous_commit = on",
            f"SELECT pg_advisory_xact_lock({_WRITERS})",
        ),
    )
