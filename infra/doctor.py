"""Checks of this machine and this installation: what would make Tidemark fail or lie, each with its remedy."""

from __future__ import annotations

import contextlib
import importlib.metadata
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from infra.local import status
from infra.local.jars import DELTA_VERSION, KAFKA_SET, SPARK_SET, SPARK_VERSION, installed
from infra.local.java import JavaMissing, find_java
from infra.local.kafka_config import is_listening

GIB = 1024**3
LEAST_DISK_BYTES = 5 * GIB
LEAST_MEMORY_BYTES = 4 * GIB
PYTHONS = ((3, 11), (3, 12))
_PLAUSIBLE_YEARS = range(2025, 2100)
_CLOCK_SAMPLE_SECONDS = 0.05
_CLOCK_TOLERANCE_SECONDS = 0.5
_FUTURE_TOLERANCE_SECONDS = 60.0


@dataclass(frozen=True)
class Check:
    """One finding: `detail` is what was seen, `remedy` what to do when not `ok` (empty when ok)."""

    name: str
    ok: bool
    detail: str
    remedy: str = ""


def run_checks(
    home: Path,
    extra: Sequence[Callable[[], Check]],
    ports: Mapping[str, int] | None = None,
    run_dir: Path | None = None,
) -> list[Check]:
    """Return every check's finding, ours first, then `extra`; a check that raises becomes a finding itself.

    `home` holds the installation's data; `ports` are the loopback ports it wants, by what they are for; `run_dir` is
    the supervisor's (default `home/run`): ports and memory held by its processes are ours.
    """
    state = status.read(run_dir or home / "run")
    own = own_pids(state)
    ours: list[Callable[[], Check]] = [
        check_python,
        check_java,
        check_packages,
        check_jars,
        lambda: check_ports(ports or {}, listeners((ports or {}).values(), own), own),
        lambda: check_disk(home),
        lambda: check_memory(psutil.virtual_memory().available, resident_bytes(own)),
        lambda: check_clock(home),
    ]
    return [_guarded(check) for check in (*ours, *extra)]


def check_python(version: tuple[int, int] = sys.version_info[:2]) -> Check:
    """Say whether this Python is one the lock file was made for."""
    text = ".".join(map(str, version))
    wanted = " or ".join(".".join(map(str, known)) for known in PYTHONS)
    return _judge(
        "python", version in PYTHONS, text, f"make a .venv with Python {wanted}: uv sync --python {wanted[:4]}"
    )


def check_java() -> Check:
    """Say whether there is a Java for Spark and Kafka."""
    try:
        java = find_java()
    except JavaMissing as missing:
        return Check("java", ok=False, detail=str(missing), remedy="python -m infra.local.java")
    return Check("java", ok=True, detail=f"{java.major} at {java.executable}")


def check_packages(requirements: Sequence[str] | None = None) -> Check:
    """Compare what is installed with the exact pins of our own metadata (or of `requirements`)."""
    wrong = [
        f"{name} {found or 'missing'}, pinned {pin}"
        for name, pin in pins(_own_requirements() if requirements is None else requirements).items()
        if not matches(pin, found := _version_of(name))
    ]
    if _version_of("pyspark-client") is not None:
        wrong.append("pyspark-client overwrites the pyspark package")
    return _judge(
        "packages", not wrong, "; ".join(wrong) or "as pinned", "uv sync --frozen --reinstall-package pyspark"
    )


def check_jars() -> Check:
    """Say whether both sets of jars are complete and fit the installed pyspark and delta-spark."""
    wrong = [f"{one.name} jars absent, damaged or old" for one in (SPARK_SET, KAFKA_SET) if installed(one) is None]
    for package, version in (("pyspark", SPARK_VERSION), ("delta-spark", DELTA_VERSION)):
        if (found := _version_of(package)) != version:
            wrong.append(f"jars are for {package} {version}, installed is {found or 'none'}")
    return _judge("jars", not wrong, "; ".join(wrong) or "complete", "python -m infra.local.jars")


def check_ports(wanted: Mapping[str, int], held: Mapping[int, int | None], own: Iterable[int]) -> Check:
    """Say whether each wanted port is free or ours. `held` maps a listening port to its process id, if known."""
    ours = set(own)
    foreign = {what: port for what, port in wanted.items() if port in held and held[port] not in ours}
    detail = "; ".join(f"{what}: {port} is held by process {held[port] or '?'}" for what, port in foreign.items())
    return _judge(
        "ports", not foreign, detail or f"{len(wanted)} free or ours", "stop those processes, or set other ports"
    )


def check_disk(home: Path, free_bytes: int | None = None) -> Check:
    """Warn when less than 5 GiB are free where the data is."""
    place = next(folder for folder in (home.absolute(), *home.absolute().parents) if folder.exists())
    free = shutil.disk_usage(place).free if free_bytes is None else free_bytes
    detail = f"{free / GIB:.1f} GiB free at {place}"
    return _judge("disk", free >= LEAST_DISK_BYTES, detail, "free some space, or set another home on a larger disk")


def check_memory(available_bytes: int, own_bytes: int = 0) -> Check:
    """Warn when less than 4 GiB are available, counting what our own processes hold already."""
    total = available_bytes + own_bytes
    detail = f"{available_bytes / GIB:.1f} GiB available, {own_bytes / GIB:.1f} GiB ours"
    return _judge("memory", total >= LEAST_MEMORY_BYTES, detail, "close other programs: the stack needs about 4 GiB")


def check_clock(
    home: Path,
    wall: Callable[[], float] = time.time,
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Check:
    """Say whether the wall clock is plausible: its year, its pace, and not behind what we wrote before."""
    wall_before, monotonic_before = wall(), monotonic()
    sleep(_CLOCK_SAMPLE_SECONDS)
    now = wall()
    drift = (now - wall_before) - (monotonic() - monotonic_before)
    behind = max((path.stat().st_mtime for path in home.glob("*")), default=now) - now
    wrong = []
    if datetime.fromtimestamp(now, UTC).year not in _PLAUSIBLE_YEARS:
        wrong.append("the year is not plausible")
    if abs(drift) > _CLOCK_TOLERANCE_SECONDS:
        wrong.append(f"it jumped by {drift:.1f} s just now")
    if behind > _FUTURE_TOLERANCE_SECONDS:
        wrong.append(f"files in {home} are {behind:.0f} s in its future")
    detail = f"{datetime.fromtimestamp(now, UTC):%Y-%m-%d %H:%M:%S} UTC" + "".join(f"; {what}" for what in wrong)
    return _judge("clock", not wrong, detail, "set the clock, by NTP if possible, before starting")


def pins(requirements: Iterable[str]) -> dict[str, str]:
    """Return the exact pins (`name==version`, `name[extra]==25.*`) of PEP 508 lines, without those for extras."""
    found = (re.match(r"([\w.-]+)(?:\[.*?\])?\s*==\s*([\w.*!+]+)\s*(?:$|;(?!.*extra))", line) for line in requirements)
    return {pin.group(1): pin.group(2) for pin in found if pin}


def matches(pin: str, version: str | None) -> bool:
    """Say whether a version satisfies `==pin`, where the pin may end in `.*`."""
    if version is None:
        return False
    return f"{version}.".startswith(pin[:-1]) if pin.endswith(".*") else version == pin


def own_pids(state: status.SupervisorStatus | None) -> set[int]:
    """Return the process ids of a living supervisor, its processes and all that they started."""
    if state is None or not state.is_alive:
        return set()
    try:
        supervisor = psutil.Process(state.pid)
        return {state.pid, *(child.pid for child in supervisor.children(recursive=True))}
    except psutil.NoSuchProcess:
        return set()


def listeners(wanted: Iterable[int], own: Iterable[int]) -> dict[int, int | None]:
    """Return the TCP ports that are listened on, each with its process id, or None where it is not to be seen."""
    try:
        return _listening(psutil.net_connections(kind="tcp"))
    except psutil.AccessDenied:  # macOS shows only root all of them
        found: dict[int, int | None] = {port: None for port in wanted if is_listening(port)}
        for pid in own:
            with contextlib.suppress(psutil.Error):
                found.update(dict.fromkeys(_listening(psutil.Process(pid).net_connections(kind="tcp")), pid))
        return found


def _listening(connections: Iterable[Any]) -> dict[int, int | None]:
    return {one.laddr.port: getattr(one, "pid", None) for one in connections if one.status == psutil.CONN_LISTEN}


def resident_bytes(pids: Iterable[int]) -> int:
    """Return the resident memory of these processes; one that is gone counts nothing."""
    total = 0
    for pid in pids:
        with contextlib.suppress(psutil.Error):
            total += int(psutil.Process(pid).memory_info().rss)
    return total


def _judge(name: str, ok: bool, detail: str, remedy: str) -> Check:
    return Check(name, ok, detail, "" if ok else remedy)


def _guarded(check: Callable[[], Check]) -> Check:
    try:
        return check()
    except Exception as error:  # noqa: BLE001 (the doctor reports faults, it does not have them)
        name = getattr(check, "__name__", "check").removeprefix("check_")
        return Check(name, ok=False, detail=f"{type(error).__name__}: {error}", remedy="report this fault")


def _own_requirements() -> list[str]:
    return importlib.metadata.requires("tidemark") or []


def _version_of(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
