"""Keeps the merged state fresh in the background, so that no query pays for it."""

from __future__ import annotations

import threading
import time
from typing import Any, Final

import structlog

from contracts.errors import StoreUnavailable, TidemarkError
from contracts.settings import Settings
from serving.api.metrics import Metrics
from serving.client import Tidemark, connect

REFRESH_SECONDS: Final = 0.2
_PAUSE_SECONDS: Final = 1.0
_STALE_SECONDS: Final = 30.0
_LOG: Final = structlog.stdlib.get_logger("serving.api")


class Refresher:
    """Holds the merged views, and refreshes them in a thread between `start` and `stop`.

    Where there is no store yet it waits for one. While the store fails, the last state stays: its `as_of` stands still.
    """

    def __init__(self, settings: Settings, tm: Tidemark | None, metrics: Metrics) -> None:
        self._settings, self._metrics = settings, metrics
        self._tm, self._owns = tm, tm is None
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._trouble: TidemarkError | None = None if tm else _not_loaded()
        self._checked_at = time.monotonic()

    @property
    def views(self) -> Tidemark:
        """The merged views. Raises `StoreUnavailable`, or what keeps them from being loaded."""
        if self._tm is None:
            raise self._trouble or _not_loaded()
        return self._tm

    @property
    def as_of(self) -> dict[str, Any] | None:
        """What answers are made of now; None before anything could be read."""
        return self._tm.as_of.to_json() if self._tm else None

    @property
    def trouble(self) -> TidemarkError | None:
        """Why the state does not move; None where all is well."""
        if self._trouble is None and self.seconds_unchecked > _STALE_SECONDS and self._thread:
            return StoreUnavailable(f"The store was last read {self.seconds_unchecked:.0f} s ago", "Wait, or restart.")
        return self._trouble

    @property
    def seconds_unchecked(self) -> float:
        """Seconds since the store was last read without an error."""
        return time.monotonic() - self._checked_at

    def start(self) -> None:
        """Begin to refresh."""
        self._thread = threading.Thread(target=self._run, name="refresher", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread, wait for it, and close the views where they were opened here."""
        self._stopping.set()
        if self._thread:
            self._thread.join()
        if self._tm and self._owns:
            self._tm.close()

    def step(self) -> None:
        """Take in what is new. Failures are kept in `trouble`, logged once, and tried again by the next step."""
        try:
            self._advance()
        except TidemarkError as error:
            self._failed(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, the last state is still good, and the next may succeed
            _LOG.exception("refresh has a fault")
            self._failed(TidemarkError(f"Refresh has a fault: {type(error).__name__}", "Report it; see the log."))
        else:
            if self._trouble:
                _LOG.info("the merged views are up to date again")
            self._trouble, self._checked_at = None, time.monotonic()

    def _run(self) -> None:
        pause = 0.0
        while not self._stopping.wait(pause):
            self.step()
            pause = _PAUSE_SECONDS if self._trouble else REFRESH_SECONDS

    def _advance(self) -> None:
        began = time.monotonic()
        if self._tm is None:
            self._tm = connect(self._settings)
            self._metrics.refresh_seconds.observe(time.monotonic() - began)
            return
        before = self._tm.as_of
        try:
            after = self._tm.refresh()
        except StoreUnavailable:
            # Where another store has taken its place, the old connection can only refuse.
            after = self._tm.reopen()
        if after is not before:
            self._metrics.refresh_seconds.observe(time.monotonic() - began)

    def _failed(self, error: TidemarkError) -> None:
        self._metrics.refresh_failures.labels(type(error).__name__).inc()
        if str(error) != str(self._trouble):
            _LOG.warning("the merged views cannot be refreshed", error=str(error), remedy=error.remedy)
        self._trouble = error


def _not_loaded() -> StoreUnavailable:
    return StoreUnavailable("The merged views are being loaded", "Ask again in a few seconds.")
