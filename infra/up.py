"""`tidemark up`: the installation's processes, kept alive until Ctrl-C."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Callable
from typing import Any

from contracts.errors import PortTaken, TidemarkError
from contracts.settings import Settings
from infra import show
from infra.installation import specs, taken_ports
from infra.local.supervisor import StartFailed, Supervisor

Event = dict[str, Any]


class NotStarted(TidemarkError):
    """A process of the installation did not start."""


class Running:
    """The installation's processes under a supervisor in a thread of its own."""

    def __init__(self, settings: Settings, events: Callable[[Event], None]) -> None:
        if taken := taken_ports(settings):
            named = ", ".join(f"{port} ({name})" for name, port in taken.items())
            variables = ", ".join(f"TIDEMARK_{_VARIABLES[name]}" for name in taken)
            remedy = f"Stop it (`tidemark up`?), or set {variables}."
            raise PortTaken(f"Something listens already on port {named}", remedy)
        settings.home.mkdir(parents=True, exist_ok=True)
        self._supervisor = Supervisor(specs(settings), events, settings.home / "run")
        self._ready = threading.Event()
        self._failure: StartFailed | None = None
        self._thread = threading.Thread(target=self._run, name="supervisor")

    def start(self) -> None:
        """Start everything; returns when all is ready. Raises `NotStarted`."""
        self._thread.start()
        try:
            self._ready.wait()
        except KeyboardInterrupt:
            self.stop()
            raise
        if self._failure:
            self._thread.join()
            raise NotStarted(str(self._failure), "Look at the log it names.")

    def wait(self) -> None:
        """Until the processes have ended for good."""
        while self._thread.is_alive():
            self._thread.join(0.5)

    def stop(self) -> None:
        """Stop the processes, the last started first, and wait for it."""
        self._supervisor.request_stop()
        self._thread.join()

    def _run(self) -> None:
        try:
            self._supervisor.start()
            self._ready.set()
            self._supervisor.run()
        except StartFailed as failure:
            self._failure = failure
        finally:
            self._ready.set()
            self._supervisor.stop()


_VARIABLES = {
    "collector": "COLLECTOR_PORT",
    "api": "API_PORT",
    "live": "METRICS_PORT_LIVE",
    "bronze": "METRICS_PORT_BRONZE",
    "kafka": "KAFKA_PORT",
}


def interrupt_on_sigterm() -> None:
    """Make SIGTERM end a command as Ctrl-C does, so that it cleans up."""

    def interrupt(_: int, __: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)


def run_up(settings: Settings) -> None:
    """Start the installation and keep it alive until Ctrl-C or SIGTERM. One JSON line an event."""
    interrupt_on_sigterm()
    running = Running(settings, lambda event: show.err.print(json.dumps(event), highlight=False, soft_wrap=True))
    try:
        running.start()
        show.out.print(urls(settings))
        running.wait()
    except KeyboardInterrupt:
        show.err.print("stopping ...")
    finally:
        if running._thread.is_alive():  # noqa: SLF001 - our own class, one line below
            running.stop()


def urls(settings: Settings) -> Any:
    """Where things answer."""
    host = f"http://{settings.host}"
    return show.pairs(
        "Running",
        {
            "collector": f"{host}:{settings.collector_port}/v1/track",
            "answers": f"{host}:{settings.api_port}/v1/query/traffic_day",
            "views": f"{host}:{settings.api_port}/v1/views",
            "status": f"{host}:{settings.api_port}/v1/status",
            "metrics": f"{host}:{{{settings.collector_port},{settings.api_port},"
            f"{settings.metrics_port_live},{settings.metrics_port_bronze}}}/metrics",
            "Kafka": settings.bootstrap,
            "state": str(settings.home),
        },
    )
