"""The state of the supervised processes on disk: written by the supervisor, read by `tidemark status`."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, TextIO

State = Literal["pending", "starting", "running", "backing_off", "failed", "finished", "stopped"]
_TAKE_TRIES = 5
FINAL: frozenset[State] = frozenset({"failed", "finished", "stopped"})


@dataclass(frozen=True)
class ProcessStatus:
    """One process; `since` is when it entered `state` (ISO 8601, UTC), `remedy` is set when it failed for good."""

    name: str
    pid: int | None
    state: State
    restarts: int
    since: str
    last_exit: int | None
    log: str
    remedy: str | None


@dataclass(frozen=True)
class SupervisorStatus:
    """What a supervisor last wrote. When `is_alive` is false it was killed and the processes are gone with it."""

    pid: int
    is_alive: bool
    processes: list[ProcessStatus]


def status_path(run_dir: Path) -> Path:
    """Return where the state of the supervisor of `run_dir` is kept."""
    return run_dir / "supervisor.json"


def take(run_dir: Path) -> TextIO | None:
    """Become the supervisor of `run_dir` until the returned file is closed; None when there is one already.

    The kernel lets go of it when the holder dies, so a crash leaves nothing to clean up.
    """
    run_dir.mkdir(parents=True, exist_ok=True)
    lock = _lock_path(run_dir).open("a")
    for _ in range(_TAKE_TRIES):  # a reader holds it for an instant
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.02)
        else:
            return lock
    lock.close()
    return None


def write(run_dir: Path, processes: Sequence[ProcessStatus]) -> None:
    """Replace the state in one step: a reader sees the old file or the new one, never half."""
    state = {
        "pid": os.getpid(),
        "processes": [asdict(process) for process in processes],
    }
    scratch = status_path(run_dir).with_suffix(".json.new")
    scratch.write_text(json.dumps(state, indent=1))
    scratch.replace(status_path(run_dir))


def read(run_dir: Path) -> SupervisorStatus | None:
    """Return the last state, or None when no supervisor ever ran in `run_dir`."""
    try:
        state = json.loads(status_path(run_dir).read_text())
    except FileNotFoundError:
        return None
    processes = [ProcessStatus(**process) for process in state["processes"]]
    return SupervisorStatus(state["pid"], _is_taken(run_dir), processes)


def _is_taken(run_dir: Path) -> bool:
    try:
        with _lock_path(run_dir).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _lock_path(run_dir: Path) -> Path:
    return run_dir / "supervisor.lock"
