"""Children end with their parent, whichever way it ends and whichever of its threads started them."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from infra.local.processes import spawn, terminate

FOREVER = [sys.executable, "-c", "import time\nwhile True: time.sleep(60)"]
ONLY_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a parent-death signal")


def await_that(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.01)


def is_running(pid: int) -> bool:
    return bool(psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)


@ONLY_LINUX
def test_a_child_dies_when_its_parent_is_killed(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    program = (
        "import sys, time, pathlib; from infra.local.processes import spawn\n"
        f"child = spawn({FOREVER!r}); pathlib.Path({str(pid_file)!r}).write_text(f'{{child.pid}}.')\n"
        "time.sleep(600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", program])
    try:
        await_that(lambda: pid_file.exists() and pid_file.read_text().endswith("."))
        child = int(pid_file.read_text().rstrip("."))
        assert is_running(child)
    finally:
        parent.kill()
        parent.wait()
    await_that(lambda: not is_running(child))


def test_a_child_outlives_the_thread_that_started_it() -> None:
    started: list[subprocess.Popen[bytes]] = []
    thread = threading.Thread(target=lambda: started.append(spawn(FOREVER)))
    thread.start()
    thread.join()
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            started[0].wait(0.3)
    finally:
        terminate(started[0], 0)


def test_terminate_is_gentle_first(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    program = (
        "import pathlib, signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\n"
        f"pathlib.Path({str(ready)!r}).touch()\n"
        "while True: time.sleep(60)"
    )
    child = spawn([sys.executable, "-c", program])
    await_that(ready.exists)
    assert terminate(child, 20) == 7


def test_terminate_kills_what_does_not_listen_and_what_it_started(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    program = (
        "import pathlib, signal, subprocess, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"child = subprocess.Popen({FOREVER!r})\n"
        f"pathlib.Path({str(pid_file)!r}).write_text(f'{{child.pid}}.')\n"
        "while True: time.sleep(60)"
    )
    child = spawn([sys.executable, "-c", program])
    await_that(lambda: pid_file.exists() and pid_file.read_text().endswith("."))
    grandchild = int(pid_file.read_text().rstrip("."))
    assert terminate(child, 0.1) == -signal.SIGKILL
    await_that(lambda: not is_running(grandchild))


def test_a_program_that_is_not_there_is_an_oserror() -> None:
    with pytest.raises(OSError, match="no-such-program"):
        spawn(["/no-such-program"])
