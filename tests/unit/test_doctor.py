"""The doctor's judgements, each on the edge between fine and not."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import psutil
import pytest

from infra import doctor
from infra.doctor import Check
from infra.local import jars


@pytest.mark.parametrize(("version", "ok"), [((3, 10), False), ((3, 11), True), ((3, 12), True), ((3, 13), False)])
def test_python(version: tuple[int, int], ok: bool) -> None:
    assert doctor.check_python(version).ok is ok


def test_pins_keep_exact_versions_only() -> None:
    lines = ["pyspark==4.2.0", "pandas<3,>=2.2", "pyarrow==25.*", "uvicorn[standard]==0.34", 'x==1; extra == "dev"']
    assert doctor.pins(lines) == {"pyspark": "4.2.0", "pyarrow": "25.*", "uvicorn": "0.34"}


@pytest.mark.parametrize(
    ("pin", "version", "ok"),
    [
        ("4.2.0", "4.2.0", True),
        ("4.2.0", "4.2.1", False),
        ("25.*", "25.1.0", True),
        ("25.*", "25", True),
        ("25.*", "250.1", False),
        ("1", None, False),
    ],
)
def test_matches(pin: str, version: str | None, ok: bool) -> None:
    assert doctor.matches(pin, version) is ok


def test_packages_are_as_pinned_here() -> None:
    assert doctor.check_packages() == Check("packages", ok=True, detail="as pinned")


def test_packages_name_what_differs() -> None:
    found = doctor.check_packages(["psutil==0.1", "no-such-package==1"])
    assert not found.ok
    assert "psutil" in found.detail
    assert "no-such-package missing, pinned 1" in found.detail
    assert found.remedy


def test_jars_absent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TIDEMARK_TOOLS", str(tmp_path))
    found = doctor.check_jars()
    assert not found.ok
    assert "spark jars" in found.detail
    assert "infra.local.jars" in found.remedy


def test_jars_made_for_another_spark(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "SPARK_VERSION", "4.9.9")
    assert "jars are for pyspark 4.9.9" in doctor.check_jars().detail


def test_ports_are_free_ours_or_foreign() -> None:
    held = {9092: 10, 8000: 20, 8001: None}
    assert doctor.check_ports({"kafka": 9092, "api": 7000}, held, own=[10]).ok
    found = doctor.check_ports({"api": 8000, "dashboard": 8001}, held, own=[10])
    assert not found.ok
    assert found.detail == "api: 8000 is held by process 20; dashboard: 8001 is held by process ?"


def test_listeners_see_our_own_socket() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert doctor.listeners([port], [os.getpid()])[port] == os.getpid()


def test_listeners_without_permission_fall_back_to_probing(monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(**_: str) -> None:
        raise psutil.AccessDenied

    monkeypatch.setattr(psutil, "net_connections", denied)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert doctor.listeners([port], []) == {port: None}
        assert doctor.listeners([port], [os.getpid()])[port] == os.getpid()


def test_disk_of_a_home_that_does_not_exist_yet(tmp_path: Path) -> None:
    home = tmp_path / "not" / "yet"
    assert str(tmp_path) in doctor.check_disk(home).detail
    assert doctor.check_disk(home, doctor.LEAST_DISK_BYTES).ok
    assert not doctor.check_disk(home, doctor.LEAST_DISK_BYTES - 1).ok


def test_memory_counts_our_own_as_available() -> None:
    half = doctor.LEAST_MEMORY_BYTES // 2
    assert not doctor.check_memory(half).ok
    assert doctor.check_memory(half, half).ok


class _Times:
    """A wall clock and a monotonic clock; `jump` is what the wall gains beyond the other during the sample."""

    def __init__(self, wall: float, jump: float = 0.0) -> None:
        self.walls = iter([wall, wall + 0.05 + jump])
        self.ticks = iter([100.0, 100.05])

    def check(self, home: Path) -> Check:
        return doctor.check_clock(home, lambda: next(self.walls), lambda: next(self.ticks), lambda _: None)


_IN_2026 = 1_780_000_000.0


def test_clock(tmp_path: Path) -> None:
    assert _Times(_IN_2026).check(tmp_path).ok
    assert "year" in _Times(0.0).check(tmp_path).detail
    assert "jumped by 3.0 s" in _Times(_IN_2026, jump=3.0).check(tmp_path).detail


def test_clock_behind_what_was_written_before(tmp_path: Path) -> None:
    (tmp_path / "store.db").touch()
    os.utime(tmp_path / "store.db", (_IN_2026 + 3600, _IN_2026 + 3600))
    found = _Times(_IN_2026).check(tmp_path)
    assert not found.ok
    assert "3600 s in its future" in found.detail


def test_a_check_that_raises_is_a_finding(tmp_path: Path) -> None:
    def check_store() -> Check:
        raise ValueError("no such table")

    last = doctor.run_checks(tmp_path, [check_store])[-1]
    assert last == Check("store", ok=False, detail="ValueError: no such table", remedy="report this fault")


def test_run_checks_has_every_check_once(tmp_path: Path) -> None:
    names = [check.name for check in doctor.run_checks(tmp_path, [])]
    assert names == ["python", "java", "packages", "jars", "ports", "disk", "memory", "clock"]


def test_jar_versions_are_the_installed_ones() -> None:
    assert doctor._version_of("pyspark") == jars.SPARK_VERSION
    assert doctor._version_of("delta-spark") == jars.DELTA_VERSION
