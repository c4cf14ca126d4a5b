"""How a streaming query runs as a process: start, watch, stop on SIGTERM, and die with a code that says why."""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from types import FrameType
from typing import Any, NoReturn

from prometheus_client import start_http_server
from pyspark.errors import StreamingQueryException
from pyspark.sql.streaming.query import StreamingQuery

from contracts.errors import PortTaken, TidemarkError

_WATCH_SECONDS = 2


class Stopping:
    """Set by SIGTERM or SIGINT."""

    def __init__(self) -> None:
        self._event = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)

    def _stop(self, _: int, __: FrameType | None) -> None:
        self._event.set()

    def __call__(self) -> bool:
        """Whether the process was asked to stop."""
        return self._event.is_set()


def watch(query: StreamingQuery, stopping: Stopping, check: Callable[[], None]) -> None:
    """Until the query ends or the process is asked to stop. `check` runs every two seconds and may raise."""
    while not stopping():
        if query.awaitTermination(_WATCH_SECONDS):
            return
        check()
    query.stop()


def serve_metrics(host: str, port: int) -> None:
    """Prometheus metrics on `port`. Raises `PortTaken`."""
    try:
        start_http_server(port, host)
    except OSError as error:
        remedy = (
            "Stop what listens there, or set another port (TIDEMARK_METRICS_PORT_LIVE, TIDEMARK_METRICS_PORT_BRONZE)."
        )
        raise PortTaken(f"cannot listen on {host}:{port} for metrics: {error.strerror}", remedy) from error


def run(main: Callable[[], None], log: Any, failure: Callable[[], TidemarkError | None] = lambda: None) -> None:
    """Run `main`; exit with a typed error's own code and say its remedy.

    Raises `SystemExit`. `failure` gives the error behind a query's end, which Spark wraps beyond recognition.
    """
    try:
        main()
    except TidemarkError as error:
        _exit(log, error)
    except StreamingQueryException as error:
        known = failure()
        if known is not None:
            _exit(log, known)
        log.error("query_failed", error=str(error)[:2000])  # noqa: TRY400 - the text has the Java trace already
        sys.exit(1)


def end(main: Callable[[], None]) -> NoReturn:
    """Run a process's `main` and end the process at once, with its exit code.

    Spark's callback server leaves threads behind that would keep it, also where a check beside the query failed.
    """
    code: Any = 0
    try:
        main()
    except SystemExit as exit_:
        code = exit_.code
    except BaseException:  # noqa: BLE001 - whatever it was, the process ends here and says it
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 1)


def _exit(log: Any, error: TidemarkError) -> None:
    log.error("stopped", error_type=type(error).__name__, error=str(error), remedy=error.remedy)
    sys.exit(error.exit_code)
