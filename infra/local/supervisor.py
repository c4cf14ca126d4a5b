"""Start the processes of one installation in order, restart what dies, and stop them in reverse order."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

from infra.local import status
from infra.local.clock import Clock, SystemClock
from infra.local.processes import spawn, terminate

FIRST_DELAY_SECONDS = 0.5
LONGEST_DELAY_SECONDS = 30.0
HEALTHY_AFTER_SECONDS = 60.0
POLL_SECONDS = 0.1
_LOG_BYTES = 10 * 1024 * 1024


class StartFailed(RuntimeError):
    """A process did not become ready, or another supervisor runs here; the message is the reason and the remedy."""


@dataclass(frozen=True)
class ProcessSpec:
    """One process to keep alive.

    `env` is the whole environment (None: ours). `ready` says whether it serves (None: as soon as it started; raising
    means not yet). With `restart=False` its end is final, whatever the code. `fatal_exit_codes` maps an exit code that
    a restart cannot cure to its remedy.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] | None
    ready: Callable[[], bool] | None
    log_path: Path
    ready_timeout_seconds: float = 60.0
    restart: bool = True
    fatal_exit_codes: Mapping[int, str] = field(default_factory=dict)
    stop_grace_seconds: float = 20.0


@dataclass
class _Child:
    spec: ProcessSpec
    since: datetime
    state: status.State = "pending"
    process: subprocess.Popen[bytes] | None = None
    entered: float = 0.0  # monotonic time at which `state` was entered
    delay_seconds: float = 0.0  # how long `backing_off` lasts
    failures: int = 0  # deaths in a row, for the back-off
    restarts: int = 0
    last_exit: int | None = None
    remedy: str | None = None


class Supervisor:
    """Keeps processes alive. Call `start`, then `run` (or `step` in your own loop), then `stop`; all in one thread.

    `events` gets a dict with ts (ISO 8601, UTC), process, event, pid, exit_code, restart_count, next_delay_seconds,
    detail. Events: started, ready, exited (a back-off follows), not_ready (it is killed and restarted), fatal,
    finished, stopped. `run_dir/supervisor.json` holds the present state (`infra.local.status`). Children die with this
    process, even when it is SIGKILLed (Linux).
    """

    def __init__(
        self,
        specs: Sequence[ProcessSpec],
        events: Callable[[dict[str, Any]], None],
        run_dir: Path,
        clock: Clock | None = None,
    ) -> None:
        self._clock: Clock = clock or SystemClock()
        self._children = [_Child(spec, self._clock.now()) for spec in specs]
        self._events = events
        self._run_dir = run_dir
        self._lock: TextIO | None = None
        self._stop_requested = False

    def start(self) -> None:
        """Start the processes one after another, each when the one before is ready; return early on `request_stop`.

        Raises StartFailed, after stopping what had started, when one is not ready in its time or ends for good.
        """
        self._take_run_dir()
        try:
            for child in self._children:
                self._launch(child)
                self._await_ready(child)
        except BaseException:
            self.stop()
            raise

    def run(self) -> None:
        """Look after the processes until `request_stop`, or until all of them have ended for good."""
        while not self._stop_requested and any(child.state not in status.FINAL for child in self._children):
            self.step()
            self._clock.sleep(POLL_SECONDS)

    def step(self) -> None:
        """Look at every process once; takes as long as the `ready` functions, or a grace period for one that hangs."""
        for child in self._children:
            self._look_at(child)

    def request_stop(self) -> None:
        """Make `start` and `run` return soon. Safe inside a signal handler."""
        self._stop_requested = True

    def stop(self) -> None:
        """Stop all processes, last started first: SIGTERM, then SIGKILL to the group after the grace period."""
        self._stop_requested = True
        for child in reversed(self._children):
            if child.process is not None:
                child.last_exit = terminate(child.process, child.spec.stop_grace_seconds)
                child.process = None
            if child.state not in status.FINAL:
                self._enter(child, "stopped")
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    @property
    def failed(self) -> dict[str, str]:
        """The processes that ended for good by a fault, each with its remedy."""
        return {child.spec.name: child.remedy or "" for child in self._children if child.state == "failed"}

    def _take_run_dir(self) -> None:
        self._lock = status.take(self._run_dir)
        if self._lock is None:
            raise StartFailed(f"another supervisor runs in {self._run_dir}. Remedy: stop it first")

    def _launch(self, child: _Child) -> None:
        log_path = child.spec.log_path
        log_path.parent.mkdir(parents=True, exist_ok=True)
        if log_path.exists() and log_path.stat().st_size > _LOG_BYTES:
            log_path.replace(log_path.with_name(f"{log_path.name}.1"))
        try:
            with log_path.open("ab") as log:
                child.process = spawn(child.spec.argv, env=child.spec.env, stdout=log)
        except OSError as error:
            child.remedy = f"{child.spec.argv[0]} cannot be started: {error}"
            self._enter(child, "failed", detail=child.remedy)
            return
        self._enter(child, "starting")

    def _await_ready(self, child: _Child) -> None:
        deadline = child.entered + child.spec.ready_timeout_seconds
        while not self._stop_requested and child.state not in ("running", "finished"):
            if child.state == "failed":
                raise StartFailed(f"{child.spec.name} failed: {child.remedy} (log: {child.spec.log_path})")
            if self._clock.monotonic() >= deadline:
                raise StartFailed(self._why_not_ready(child))
            self.step()
            if child.state not in ("running", "finished", "failed"):
                self._clock.sleep(POLL_SECONDS)

    def _why_not_ready(self, child: _Child) -> str:
        exits = f", it ended {child.failures} times, last with code {child.last_exit}" if child.failures else ""
        what = f"{child.spec.name} was not ready in {child.spec.ready_timeout_seconds:.0f} s{exits}"
        return f"{what}. Remedy: see the end of {child.spec.log_path}"

    def _look_at(self, child: _Child) -> None:
        """Move one process on to its next state, if it is time."""
        in_state_seconds = self._clock.monotonic() - child.entered
        if child.state in ("starting", "running") and child.process is not None:
            if child.process.poll() is not None:
                self._bury(child, healthy=child.state == "running" and in_state_seconds >= HEALTHY_AFTER_SECONDS)
            elif child.state == "starting" and _is_ready(child.spec):
                self._enter(child, "running")
            elif child.state == "starting" and in_state_seconds >= child.spec.ready_timeout_seconds:
                self._event(child, "not_ready")
                terminate(child.process, child.spec.stop_grace_seconds)
                self._bury(child, healthy=False)
        elif child.state == "backing_off" and in_state_seconds >= child.delay_seconds:
            child.restarts += 1
            self._launch(child)

    def _bury(self, child: _Child, *, healthy: bool) -> None:
        """Decide what follows the end of a process."""
        assert child.process is not None  # noqa: S101 - only a child that ran is buried; mypy cannot know
        child.last_exit = terminate(child.process, 0)  # it has ended: this ends what it left behind
        child.process = None
        if child.last_exit in child.spec.fatal_exit_codes:
            child.remedy = child.spec.fatal_exit_codes[child.last_exit]
            self._enter(child, "failed", detail=child.remedy)
        elif not child.spec.restart:
            self._enter(child, "finished")
        else:
            child.failures = 1 if healthy else child.failures + 1
            child.delay_seconds = min(LONGEST_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2.0 ** min(child.failures - 1, 16))
            self._enter(child, "backing_off")

    def _enter(self, child: _Child, state: status.State, detail: str | None = None) -> None:
        child.state, child.entered, child.since = state, self._clock.monotonic(), self._clock.now()
        self._save()
        self._event(child, _EVENT_OF[state], detail)

    def _event(self, child: _Child, event: str, detail: str | None = None) -> None:
        self._events(
            {
                "ts": self._clock.now().isoformat(),
                "process": child.spec.name,
                "event": event,
                "pid": child.process.pid if child.process is not None else None,
                "exit_code": child.last_exit if child.process is None else None,
                "restart_count": child.restarts,
                "next_delay_seconds": child.delay_seconds if child.state == "backing_off" else None,
                "detail": detail,
            }
        )

    def _save(self) -> None:
        rows = [
            status.ProcessStatus(
                name=child.spec.name,
                pid=child.process.pid if child.process is not None else None,
                state=child.state,
                restarts=child.restarts,
                since=child.since.isoformat(),
                last_exit=child.last_exit,
                log=str(child.spec.log_path),
                remedy=child.remedy,
            )
            for child in self._children
        ]
        status.write(self._run_dir, rows)


_EVENT_OF: dict[status.State, str] = {
    "starting": "started",
    "running": "ready",
    "backing_off": "exited",
    "failed": "fatal",
    "finished": "finished",
    "stopped": "stopped",
}


def _is_ready(spec: ProcessSpec) -> bool:
    if spec.ready is None:
        return True
    with contextlib.suppress(Exception):  # a probe that cannot connect is the usual way of not being ready
        return spec.ready()
    return False
