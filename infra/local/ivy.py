"""Run Apache Ivy on a list of Maven coordinates.

Ivy gets settings and a cache of its own: a POM without its jar in `~/.m2` makes a shared cache fail, and a clean cache
makes every machine resolve alike. The resolver's own default root is Maven Central; no host is written down here.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from xml.sax.saxutils import quoteattr

from infra.local.java import Java
from infra.local.processes import signal_group, spawn

TRIES = 3
PAUSE_SECONDS = 5.0
TRY_LIMIT_SECONDS = 600.0
_REPORT_EVERY_FILES = 15
_TELLING = re.compile(r"exception|not found|error|failed", re.IGNORECASE)
_PATTERN = "[artifact]-[revision](-[classifier]).[ext]"


class IvyFailed(RuntimeError):
    """Ivy did not fetch everything; the message is one line and names the log."""


def retrieve(
    *,
    name: str,
    coordinates: Sequence[str],
    excluded: Iterable[str],
    target: Path,
    work_dir: Path,
    ivy_jar: Path,
    java: Java,
) -> None:
    """Fetch `coordinates` with their runtime dependencies into `target`, in up to three tries.

    `excluded` are file names of jars (`artifact-version.jar`) whose modules are left out, whatever version is asked
    for. Progress goes to stderr, Ivy's own output to `work_dir/<name>.log`. Raises IvyFailed.
    """
    home = work_dir / name
    home.mkdir(parents=True, exist_ok=True)
    settings, module = home / "ivysettings.xml", home / "ivy.xml"
    settings.write_text(_settings(home / "cache", os.environ.get("TIDEMARK_MAVEN_ROOT")))
    module.write_text(_module(name, coordinates, {artifact_of(jar) for jar in excluded}))
    argv = [str(java.executable), "-jar", str(ivy_jar), "-settings", str(settings), "-ivy", str(module)]
    argv += ["-types", "jar", "bundle", "-retrieve", str(target / _PATTERN)]
    log_path = work_dir / f"{name}.log"
    for attempt in range(1, TRIES + 1):
        _say(name, f"fetching {', '.join(coordinates)} (try {attempt} of {TRIES})")
        if _run(name, argv, log_path) == 0:
            shutil.rmtree(home / "cache", ignore_errors=True)  # all of it has just been copied to `target`
            return
        _say(name, f"try {attempt} failed: {_first_error(log_path)}")
        if attempt < TRIES:
            time.sleep(PAUSE_SECONDS)
    raise IvyFailed(f"{TRIES} tries failed, the last with: {_first_error(log_path)} (all of it: {log_path})")


def artifact_of(jar_name: str) -> str:
    """Return the artifact of a jar's file name: `spark-core_2.13-4.2.0.jar` gives `spark-core_2.13`."""
    named = re.match(r"(.+)-\d+\..*\.jar$", jar_name)  # greedy: the version is the last "-<number>."
    return named.group(1) if named else jar_name.removesuffix(".jar")


def _run(name: str, argv: Sequence[str], log_path: Path) -> int:
    """Run Ivy once, counting the files it says it fetched, and return its exit code (-9 when over the limit)."""
    started, files, kilobytes = time.monotonic(), 0, 0
    process = spawn(argv, stdout=subprocess.PIPE)
    watchdog = threading.Timer(TRY_LIMIT_SECONDS, signal_group, (process, signal.SIGKILL))
    watchdog.start()
    try:
        with process, log_path.open("wb") as log:
            for line in process.stdout or ():
                log.write(line)
                if size := re.search(rb"\((\d+)kB\)\s*$", line):
                    kilobytes += int(size.group(1))
                if b"[SUCCESSFUL ]" in line:
                    files += 1
                    if files % _REPORT_EVERY_FILES == 0:
                        _say(name, _so_far(files, kilobytes, started))
        code = process.wait()
    finally:
        watchdog.cancel()
    if code == 0:
        _say(name, f"done: {_so_far(files, kilobytes, started)}")
    return code


def _so_far(files: int, kilobytes: int, started: float) -> str:
    return f"{files} files, {kilobytes / 1024:.1f} MB, {time.monotonic() - started:.0f} s"


def _say(name: str, text: str) -> None:
    print(f"jars: {name}: {text}", file=sys.stderr, flush=True)


def _first_error(log_path: Path) -> str:
    """Return the line of Ivy's log that says most about the failure."""
    lines = log_path.read_text(errors="replace").splitlines() if log_path.exists() else []
    telling = [line.strip(":\t ") for line in lines if _TELLING.search(line)]
    return (telling or [line.strip() for line in lines[-1:]] or ["no output"])[0]


def _settings(cache: Path, root: str | None) -> str:
    mirror = f" root={quoteattr(root)}" if root else ""
    return f"""<ivysettings>
  <settings defaultResolver="central"/>
  <timeout-constraints>
    <timeout-constraint name="limits" connectionTimeout="20000" readTimeout="60000"/>
  </timeout-constraints>
  <caches defaultCacheDir={quoteattr(str(cache))}/>
  <resolvers>
    <ibiblio name="central" m2compatible="true" usepoms="true" timeoutConstraint="limits"{mirror}/>
  </resolvers>
</ivysettings>
"""


def _module(name: str, coordinates: Sequence[str], excluded: set[str]) -> str:
    dependencies = [
        f'    <dependency org="{group}" name="{artifact}" rev="{version}" conf="default-&gt;runtime(default),master"/>'
        for group, artifact, version in (coordinate.split(":") for coordinate in coordinates)
    ]
    exclusions = [f"    <exclude module={quoteattr(artifact)}/>" for artifact in sorted(excluded)]
    return f"""<ivy-module version="2.0">
  <info organisation="tidemark" module="{name}"/>
  <configurations><conf name="default"/></configurations>
  <dependencies>
{chr(10).join(dependencies + exclusions)}
  </dependencies>
</ivy-module>
"""
