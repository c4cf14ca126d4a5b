"""Start child processes that never outlive this one, not even when it is SIGKILLed."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

_PR_SET_PDEATHSIG = 1
# Loaded here, not in the child: between fork and exec almost nothing is safe to call.
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def spawn(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    stdout: int | IO[bytes] | None = None,
    stderr: int | IO[bytes] | None = subprocess.STDOUT,
    cwd: Path | None = None,
) -> subprocess.Popen[bytes]:
    """Start `argv` as the leader of its own process group, with an empty stdin.

    It gets SIGKILL when this process dies (Linux only; elsewhere it outlives a SIGKILLed parent). Being in its own
    session, it does not see the terminal's Ctrl-C: whoever started it stops it.

    Raises OSError when the program cannot be executed.
    """
    return (
        _forker(os.getpid())
        .submit(
            subprocess.Popen,
            list(argv),
            env=None if env is None else dict(env),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            cwd=cwd,
            start_new_session=True,
            preexec_fn=_die_with(os.getpid()),
        )
        .result()
    )


def signal_group(process: subprocess.Popen[bytes], signum: int) -> None:
    """Send `signum` to the group that `spawn` made for `process`; nothing happens when the group is gone."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signum)


def terminate(process: subprocess.Popen[bytes], grace_seconds: float) -> int:
    """Ask `process` to end with SIGTERM, SIGKILL its group after `grace_seconds`, and return its exit code.

    Only the leader is asked: what it started is its own to end, and a broker told twice does not stop cleanly.
    """
    if process.poll() is None:
        process.terminate()
    try:
        code = process.wait(grace_seconds)
    except subprocess.TimeoutExpired:
        signal_group(process, signal.SIGKILL)
        code = process.wait()
    signal_group(process, signal.SIGKILL)
    return code


@functools.cache
def _forker(_pid: int) -> ThreadPoolExecutor:
    """Return the one thread that forks: Linux sends the death signal when the forking *thread* ends, and it never does.

    One per process id: after a fork (as Airflow's) the child has the object but not the thread.
    """
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="tidemark-forker")


def _die_with(parent_pid: int) -> Callable[[], None] | None:
    """Return the function that the child runs before exec, or None where the kernel has no death signal."""
    if _LIBC is None:
        return None
    prctl = _LIBC.prctl

    def before_exec() -> None:
        prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
        if os.getppid() != parent_pid:  # it died between the fork and the line above
            os._exit(1)

    return before_exec
