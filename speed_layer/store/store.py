"""Opening the store, and the only two ways into it: `read()` and `write()`."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

from sqlalchemy import Connection, insert, select

from speed_layer import failpoints
from speed_layer.store.backends import WAIT_SECONDS, Backend, backend
from speed_layer.store.faults import as_unavailable, unavailable
from speed_layer.store.folding import Combine, Folder, report
from speed_layer.store.reader import Reader
from speed_layer.store.records import FoldReport
from speed_layer.store.schema import VERSION, metadata, store_info
from speed_layer.store.writer import Writer


class Store:
    """The speed store and its control tables. Safe to share between threads, not across a fork."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._identity: str | None = None

    @contextmanager
    def read(self) -> Iterator[Reader]:
        """A reader; everything read inside the `with` is of one snapshot. Raises `StoreUnavailable`."""
        with self._transaction(self._backend.read_options, ()) as connection:
            yield Reader(connection)

    @contextmanager
    def write(self) -> Iterator[Writer]:
        """A writer; writers come one after the other. What is written in the `with` happens as a whole or not at all.

        Raises `StoreUnavailable`, also where another writer takes longer than 30 s.
        """
        with self._transaction(self._backend.write_options, self._backend.before_write) as connection:
            yield Writer(connection)

    def fold(self, generation: int, combine: Combine, now_ms: int, keep_seconds: float = 15) -> FoldReport:
        """As `Writer.fold`, but combines before it takes the writers' lock, so a batch need not wait for it.

        What another fold or a publish changed meanwhile is left as it is.
        """
        with self.read() as reader:
            up_to = reader.last_batch_before(generation, now_ms - int(keep_seconds * 1000))
            merged = Folder(reader.connection).merged(generation, up_to, combine)
        if not merged:
            return report(generation, up_to, [])
        with self.write() as writer:
            done = [m for m in merged if writer.replace(m)]
            writer.forget_progress(generation)
            failpoints.reach("fold.in_commit")
            return report(generation, up_to, done)

    def close(self) -> None:
        """Close the connections."""
        self._backend.engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    @contextmanager
    def _transaction(self, options: dict[str, Any], first: Sequence[str]) -> Iterator[Connection]:
        with as_unavailable(self._backend.name), self._backend.engine.connect() as connection:
            self._backend.check(connection)
            connection.execution_options(**options)
            with connection.begin():
                for statement in first:
                    connection.exec_driver_sql(statement)
                self._check_identity(connection)
                yield connection

    def _check_identity(self, connection: Connection) -> None:
        # The first read of the transaction: it takes the snapshot.
        row = connection.execute(select(store_info.c.version, store_info.c.identity)).one_or_none()
        version, identity = row or (None, None)
        if version != VERSION:
            raise unavailable(self._backend.name, f"its tables are of version {version}, not {VERSION} as this code's")
        self._identity = self._identity or identity
        if identity != self._identity:
            raise unavailable(self._backend.name, "unable to open: it was replaced by another store while in use")


def open_store(url: str, *, create: bool = True) -> Store:
    """The store at `url`: `sqlite:///FILE`, or `postgresql://USER@HOST/DATABASE` (an own database or `search_path`).

    `create` makes folder, file and tables where they are missing (never a PostgreSQL database).
    Raises `SettingInvalid` for another kind of URL, `StoreUnavailable` where the store cannot be reached or is of
    another version.
    """
    chosen = backend(url)
    store = Store(chosen)
    try:
        if create:
            _create(chosen)
        with store.read():
            return store
    except BaseException:
        store.close()
        raise


def _create(chosen: Backend) -> None:
    if chosen.path:
        try:
            chosen.path.parent.mkdir(parents=True, exist_ok=True)
            _create_file(chosen.path)
        except (OSError, sqlite3.Error) as error:
            raise unavailable(chosen.name, str(error)) from error
    with as_unavailable(chosen.name), chosen.engine.connect() as connection:
        connection.execution_options(**chosen.write_options)
        with connection.begin():
            for statement in chosen.before_write:
                connection.exec_driver_sql(statement)
            metadata.create_all(connection)
            if connection.execute(select(store_info.c.version)).first() is None:
                connection.execute(insert(store_info).values(version=VERSION, identity=uuid4().hex))


def _create_file(path: Path) -> None:
    """Make the file, in WAL mode. The switch does not wait for locks by itself, so it is tried again."""
    until = time.monotonic() + WAIT_SECONDS
    with closing(sqlite3.connect(path, WAIT_SECONDS, isolation_level=None)) as con:
        while True:
            try:
                con.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > until:
                    raise
                time.sleep(0.05)
            else:
                return
