"""The supervisor on real child processes, with a clock of our own: nothing here waits for time to pass."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest

from infra.local import status, supervisor
from infra.local.supervisor import ProcessSpec, StartFailed, Supervisor

FOREVER = "import time\nwhile True: time.sleep(60)"


class FakeClock:
    """Seconds that pass only when told; `sleep` lets real processes have a moment."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.seconds)

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        time.sleep(0.005)


class House:
    """A run folder, a clock, the events so far, and supervisors that are stopped at the end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = FakeClock()
        self.events: list[dict[str, Any]] = []
        self.supervisors: list[Supervisor] = []

    def spec(self, name: str, program: str, **settings: Any) -> ProcessSpec:
        settings = {"env": None, "ready": None, "log_path": self.folder / f"{name}.log", **settings}
        return ProcessSpec(name, [sys.executable, "-c", program], **settings)

    def supervise(self, *specs: ProcessSpec) -> Supervisor:
        made = Supervisor(specs, self.events.append, self.folder, self.clock)
        self.supervisors.append(made)
        return made

    def names(self) -> list[tuple[str, str]]:
        return [(event["process"], event["event"]) for event in self.events]

    def last(self, event: str) -> dict[str, Any]:
        return next(one for one in reversed(self.events) if one["event"] == event)

    def status_of(self, name: str) -> status.ProcessStatus:
        state = status.read(self.folder)
        assert state is not None
        return next(process for process in state.processes if process.name == name)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    for one in made.supervisors:
        one.stop()


def step_until(one: Supervisor, condition: Callable[[], bool]) -> None:
    """Step without letting the supervisor's time pass."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        one.step()
        time.sleep(0.005)


def kill(house: House, name: str) -> None:
    pid = house.status_of(name).pid
    assert pid is not None
    psutil.Process(pid).kill()


def test_starts_in_order_each_when_the_one_before_is_ready(house: House) -> None:
    flag = house.folder / "flag"
    first = house.spec("first", f"import pathlib; pathlib.Path({str(flag)!r}).touch()\n{FOREVER}", ready=flag.exists)
    second = house.spec("second", FOREVER)
    house.supervise(first, second).start()
    assert house.names() == [("first", "started"), ("first", "ready"), ("second", "started"), ("second", "ready")]
    assert house.status_of("second").state == "running"


def test_stops_in_reverse_order_and_gently(house: House) -> None:
    polite = (
        "import signal, sys, time\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\nprint('up', flush=True)\n"
    )
    specs = [
        house.spec(
            name,
            polite + "while True: time.sleep(60)",
            ready=lambda log=house.folder / f"{name}.log": "up" in log.read_text(),
        )
        for name in ("first", "second")
    ]
    one = house.supervise(*specs)
    one.start()
    one.stop()
    assert house.names()[-2:] == [("second", "stopped"), ("first", "stopped")]
    assert house.last("stopped")["exit_code"] == 0
    assert house.status_of("first").pid is None


def test_a_dead_process_is_restarted_after_its_delay_and_not_before(house: House) -> None:
    one = house.supervise(house.spec("p", FOREVER))
    one.start()
    kill(house, "p")
    step_until(one, lambda: house.status_of("p").state == "backing_off")
    event = house.last("exited")
    assert (event["exit_code"], event["next_delay_seconds"], event["restart_count"]) == (-signal.SIGKILL, 0.5, 0)
    house.clock.seconds += 0.49
    one.step()
    assert house.status_of("p").state == "backing_off"
    house.clock.seconds += 0.02
    step_until(one, lambda: house.status_of("p").state == "running")
    assert house.status_of("p").restarts == 1
    assert house.status_of("p").last_exit == -signal.SIGKILL


def test_the_delay_doubles_to_thirty_seconds(house: House) -> None:
    gate = house.folder / "may-die"
    waiting = f"import pathlib, time\nwhile not pathlib.Path({str(gate)!r}).exists(): time.sleep(0.01)\n"
    one = house.supervise(house.spec("p", waiting + "raise SystemExit(3)"))
    one.start()
    gate.touch()
    delays: list[float] = []
    for _ in range(8):
        step_until(one, lambda: house.status_of("p").state == "backing_off")
        delays.append(house.last("exited")["next_delay_seconds"])
        house.clock.seconds += delays[-1]
        one.step()
    assert delays == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]


def test_one_that_keeps_dying_is_not_ready_in_time(house: House) -> None:
    one = house.supervise(house.spec("p", "raise SystemExit(3)", ready=lambda: False, ready_timeout_seconds=5))
    with pytest.raises(StartFailed, match=r"p was not ready in 5 s, it ended \d+ times, last with code 3"):
        one.start()


@pytest.mark.parametrize(("healthy_seconds", "delay"), [(59.0, 1.0), (61.0, 0.5)])
def test_a_healthy_minute_forgives_earlier_deaths(house: House, healthy_seconds: float, delay: float) -> None:
    one = house.supervise(house.spec("p", FOREVER))
    one.start()
    kill(house, "p")
    step_until(one, lambda: house.status_of("p").state == "backing_off")
    house.clock.seconds += 0.5
    step_until(one, lambda: house.status_of("p").state == "running")
    house.clock.seconds += healthy_seconds
    kill(house, "p")
    step_until(one, lambda: house.status_of("p").state == "backing_off")
    assert house.last("exited")["next_delay_seconds"] == delay


def test_a_fatal_exit_code_is_not_restarted_and_says_the_remedy(house: House) -> None:
    spec = house.spec("p", "raise SystemExit(78)", ready=lambda: False, fatal_exit_codes={78: "give it its topic"})
    one = house.supervise(house.spec("before", FOREVER), spec)
    with pytest.raises(StartFailed, match="p failed: give it its topic"):
        one.start()
    assert house.last("fatal")["detail"] == "give it its topic"
    assert house.last("fatal")["exit_code"] == 78
    assert one.failed == {"p": "give it its topic"}
    assert house.status_of("p").remedy == "give it its topic"
    assert house.status_of("before").state == "stopped", "what had started is stopped again"


def test_one_that_ends_for_good_leaves_the_others_running(house: House) -> None:
    once = house.spec("once", "raise SystemExit(4)", restart=False)
    one = house.supervise(once, house.spec("p", FOREVER))
    one.start()
    step_until(one, lambda: house.status_of("once").state == "finished")
    assert house.status_of("once").last_exit == 4
    assert house.status_of("p").state == "running"


def test_run_returns_when_all_have_ended(house: House) -> None:
    one = house.supervise(house.spec("once", "pass", restart=False))
    one.start()
    one.run()
    assert house.names()[-1] == ("once", "finished")


def test_run_returns_when_asked(house: House) -> None:
    one = house.supervise(house.spec("p", FOREVER))
    one.start()
    one.request_stop()
    one.run()
    assert house.status_of("p").state == "running"


def test_one_that_hangs_after_a_restart_is_killed_and_tried_again(house: House) -> None:
    answers = [True]
    one = house.supervise(house.spec("p", FOREVER, ready=lambda: answers[0], ready_timeout_seconds=10))
    one.start()
    answers[0] = False
    kill(house, "p")
    step_until(one, lambda: house.status_of("p").state == "backing_off")
    house.clock.seconds += 1
    step_until(one, lambda: house.status_of("p").state == "starting")
    house.clock.seconds += 10
    step_until(one, lambda: house.status_of("p").state == "backing_off")
    assert house.names()[-2:] == [("p", "not_ready"), ("p", "exited")]


def test_a_probe_that_raises_is_not_ready(house: House) -> None:
    def probe() -> bool:
        raise ConnectionRefusedError

    one = house.supervise(house.spec("p", FOREVER, ready=probe, ready_timeout_seconds=5))
    with pytest.raises(StartFailed, match=r"p was not ready in 5 s\. Remedy: see the end of"):
        one.start()


def test_a_program_that_is_not_there_fails_at_once(house: House) -> None:
    spec = ProcessSpec("p", ["/no-such-program"], None, None, house.folder / "p.log")
    with pytest.raises(StartFailed, match="/no-such-program cannot be started"):
        house.supervise(spec).start()


def test_the_log_has_both_streams_and_is_kept_over_restarts(house: House) -> None:
    program = "import sys; print('out'); print('err', file=sys.stderr)"
    one = house.supervise(house.spec("p", program, restart=False))
    for _ in range(2):
        one = house.supervise(house.spec("p", program, restart=False))
        one.start()
        one.run()
        one.stop()
    lines = (house.folder / "p.log").read_text().split()
    assert sorted(lines) == ["err", "err", "out", "out"]


def test_a_large_log_is_set_aside(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "_LOG_BYTES", 10)
    (house.folder / "p.log").write_text("old and long\n")
    one = house.supervise(house.spec("p", "print('new')", restart=False))
    one.start()
    one.run()
    assert (house.folder / "p.log.1").read_text() == "old and long\n"
    assert (house.folder / "p.log").read_text() == "new\n"


def test_only_one_supervisor_in_a_folder(house: House) -> None:
    one = house.supervise(house.spec("p", FOREVER))
    one.start()
    with pytest.raises(StartFailed, match="another supervisor runs in"):
        house.supervise(house.spec("q", FOREVER)).start()
    one.stop()
    house.supervise(house.spec("q", FOREVER)).start()


def test_status_tells_a_living_supervisor_from_a_dead_one(house: House) -> None:
    assert status.read(house.folder / "elsewhere") is None
    one = house.supervise(house.spec("p", FOREVER))
    one.start()
    living = status.read(house.folder)
    assert living is not None
    assert living.is_alive
    one.stop()
    dead = status.read(house.folder)
    assert dead is not None
    assert not dead.is_alive


def test_the_status_file_is_plain_json(house: House) -> None:
    house.supervise(house.spec("p", FOREVER)).start()
    (row,) = json.loads(status.status_path(house.folder).read_text())["processes"]
    assert row["state"] == "running"
    assert row["log"] == str(house.folder / "p.log")
    assert datetime.fromisoformat(row["since"]).tzinfo is not None
