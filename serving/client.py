"""The merged answer, for Python: `import serving; tm = serving.connect(); tm.sql("SELECT * FROM traffic_day")`."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

import duckdb
import pyarrow as pa

from contracts.errors import QueryRefused, QueryTimeout
from contracts.settings import Settings
from serving.cut import HIDDEN_AHEAD, AsOf, take
from serving.guard import Guard
from serving.merge import Merge
from serving.views import VIEWS, View, statements
from speed_layer.store import Store, open_store

TIMEOUT_SECONDS = 30.0


class Tidemark:
    """Merged views of one installation, as of the last `refresh`. Works whether or not servers run."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._settings, self._store = settings, store
        self._merge = Merge(settings)
        self._lock = threading.Lock()
        self._held: AsOf | None = None
        # What the next refresh may build on: None after the store was replaced.
        self._known: AsOf | None = None
        con = self._merge.con
        con.execute("CREATE TABLE as_of (answer VARCHAR, hidden_after TIMESTAMP)")
        for statement in statements():
            con.execute(statement)
        self._guard = Guard(con)
        self.refresh()

    @property
    def as_of(self) -> AsOf:
        """What answers are made of now."""
        if self._held is None:
            return self.refresh()
        return self._held

    @property
    def views(self) -> dict[str, View]:
        """The views there are, by name."""
        return VIEWS

    def refresh(self) -> AsOf:
        """Take in what was recorded or published since the last refresh. Raises `StoreUnavailable`."""
        with self._lock:
            snapshot = take(self._store, self._settings, self._known)
            if self._known is not None and snapshot.as_of == self._known:
                return self._known
            hidden = (snapshot.as_of.moment + HIDDEN_AHEAD).strftime("%Y-%m-%d %H:%M:%S")
            answer = json.dumps(snapshot.as_of.to_json()).replace("'", "''")
            row = [f"DELETE FROM as_of; INSERT INTO as_of VALUES ('{answer}', TIMESTAMP '{hidden}')"]
            self._merge.apply(snapshot, row)
            self._held = self._known = snapshot.as_of
            return snapshot.as_of

    def reopen(self) -> AsOf:
        """Open the store anew, after it was lost or replaced, and take in all it holds. Raises `StoreUnavailable`."""
        store = open_store(self._settings.store, create=False)
        with self._lock:
            old, self._store, self._known = self._store, store, None
        old.close()
        return self.refresh()

    def sql(self, query: str, parameters: list[Any] | None = None) -> pa.Table:
        """One SELECT over the views, as an Arrow table. Raises `QueryRefused` for anything else."""
        return self.answer(query, parameters)[0]

    def answer(
        self,
        query: str,
        parameters: list[Any] | None = None,
        *,
        timeout_seconds: float = TIMEOUT_SECONDS,
        most_rows: int | None = None,
    ) -> tuple[pa.Table, dict[str, Any]]:
        """The rows of one SELECT (the first `most_rows`) and the `as_of` they were read at, out of one state.

        Raises `QueryRefused`, and `QueryTimeout` where it takes longer than `timeout_seconds`.
        """
        with self._merge.con.cursor() as cursor, _within(cursor, timeout_seconds):
            self._guard.check(cursor, query)
            cursor.execute("BEGIN")
            try:
                ((as_of,),) = cursor.execute("SELECT answer FROM as_of").fetchall()
                found = cursor.sql(query, params=parameters or None)
                rows = (found if most_rows is None else found.limit(most_rows)).to_arrow_table()
            except duckdb.InterruptException:
                raise
            except duckdb.Error as error:
                raise QueryRefused(
                    str(error), "See the views and their columns with `tidemark query --views`."
                ) from error
            finally:
                cursor.execute("ROLLBACK")
            return rows, json.loads(as_of)

    def table(self, name: str) -> pa.Table:
        """A merged relation as the algebra has it, unfiltered: for verification."""
        with self._merge.con.cursor() as cursor:
            return cursor.sql(self._merge.merged(name)).to_arrow_table()

    def speed_rows(self) -> int:
        """How many rows of what lies behind the cut are held in memory."""
        with self._merge.con.cursor() as cursor:
            sizes = [cursor.sql(f"SELECT count(*) FROM {name}").fetchall() for name in self._merge.speed_tables]
        return sum(int(count) for ((count,),) in sizes)

    def close(self) -> None:
        """Let go of the store and the memory."""
        self._store.close()
        self._merge.con.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


@contextmanager
def _within(cursor: duckdb.DuckDBPyConnection, seconds: float) -> Iterator[None]:
    """Stop what the cursor runs after `seconds`."""
    timer = threading.Timer(seconds, cursor.interrupt)
    timer.daemon = True
    timer.start()
    try:
        yield
    except duckdb.InterruptException as error:
        remedy = "Ask for a shorter time, fewer columns or a coarser view."
        raise QueryTimeout(f"The query took longer than {seconds:g} s and was stopped", remedy) from error
    finally:
        timer.cancel()
        timer.join()


def connect(settings: Settings | None = None) -> Tidemark:
    """The merged views of the installation in the environment (`TIDEMARK_HOME`, ...) or of `settings`.

    Raises `StoreUnavailable` where there is none.
    """
    chosen = settings or Settings.from_env(os.environ)
    store = open_store(chosen.store, create=False)
    try:
        return Tidemark(chosen, store)
    except BaseException:
        store.close()
        raise
