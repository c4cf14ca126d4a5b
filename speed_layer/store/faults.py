"""From a driver's error to a StoreUnavailable that says what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, PendingRollbackError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from contracts.errors import StoreUnavailable

_REMEDIES = (
    (
        ("locked", "busy", "lock timeout"),
        "Another process holds the store: wait until it has finished, then try again.",
    ),
    (
        ("disk i/o", "is full", "no space", "too large"),
        "Free space on the disk that holds the store, then start again; the last transaction left nothing behind.",
    ),
    (
        ("readonly", "read-only", "permission denied"),
        "Give this process write access to the store and its folder, then start again.",
    ),
    (
        ("malformed", "not a database"),
        "Move the damaged store away and run `tidemark recover`, which rebuilds it from the published run.",
    ),
    (("of version",), "Run the Tidemark release that made this store, or move it away and run `tidemark recover`."),
    (
        ("unable to open", "no such table", "does not exist", "undefinedtable"),
        "Check TIDEMARK_STORE_URL and TIDEMARK_HOME; where the store is lost, run `tidemark recover`.",
    ),
    (
        ("password", "authentication", "role"),
        "Check the user and password in TIDEMARK_STORE_URL.",
    ),
)
_OTHERWISE = "Check that the database of TIDEMARK_STORE_URL runs and is reachable, then try again."


@contextmanager
def as_unavailable(store: str) -> Iterator[None]:
    """Turn every error of the driver or the pool inside the `with` into `StoreUnavailable`; `store` names the store."""
    try:
        yield
    except DBAPIError as error:
        raise unavailable(store, str(error.orig)) from error
    except PoolTimeout as error:
        raise StoreUnavailable(f"{store}: too many readers at once", "Close readers sooner, then try again.") from error
    except PendingRollbackError as error:
        raise unavailable(store, "an earlier statement of this transaction failed") from error


def unavailable(store: str, cause: str) -> StoreUnavailable:
    """The error for what the driver says (its first line) of the store named `store`."""
    first = cause.strip().splitlines()[0] if cause.strip() else "no reason given"
    remedy = next((r for words, r in _REMEDIES if any(w in cause.lower() for w in words)), _OTHERWISE)
    return StoreUnavailable(f"{store}: {first}", remedy)
