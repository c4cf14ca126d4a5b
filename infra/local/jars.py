"""Fetch the jars of Spark's connectors and of a Kafka broker, with the Ivy that ships inside pyspark.

Each set is complete or absent: it is fetched into a scratch folder and appears by one rename, together with a marker
that names what was asked for and the size of every file.
"""

from __future__ import annotations

import fcntl
import importlib.util
import json
import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from infra.local.ivy import IvyFailed, retrieve
from infra.local.java import JavaMissing, ensure_java
from infra.local.paths import jars_dir, tools_dir

SCALA = "2.13"
MARKER = ".complete.json"
REMEDY = (
    "check the network (Maven Central must be reachable; TIDEMARK_MAVEN_ROOT names a mirror) and run "
    "`python -m infra.local.jars` again: what has arrived is kept"
)


class JarsUnavailable(RuntimeError):
    """The jars could not be fetched; the message is one line with the cause and the remedy."""


@dataclass(frozen=True)
class JarSet:
    """A set of jars by its Maven coordinates; `beside_pyspark` leaves out what pyspark already ships."""

    name: str
    coordinates: tuple[str, ...]
    beside_pyspark: bool


@dataclass(frozen=True)
class Jars:
    """Absolute paths: `spark` for `spark.jars`, `kafka` for the broker's class path."""

    spark: list[Path]
    kafka: list[Path]


SPARK_VERSION = "4.2.0"
DELTA_VERSION = "4.4.0"
KAFKA_VERSION = "4.1.1"
SPARK_SET = JarSet(
    "spark",
    (
        f"io.delta:delta-spark_4.2_{SCALA}:{DELTA_VERSION}",
        f"org.apache.spark:spark-sql-kafka-0-10_{SCALA}:{SPARK_VERSION}",
    ),
    beside_pyspark=True,
)
KAFKA_SET = JarSet(
    "kafka",
    # the log4j that kafka itself depends on is 2.24.3; any other would evict it
    (f"org.apache.kafka:kafka_{SCALA}:{KAFKA_VERSION}", "org.apache.logging.log4j:log4j-slf4j2-impl:2.24.3"),
    beside_pyspark=False,
)


def ensure_jars() -> Jars:
    """Return both sets, fetching what is missing (about 85 MB); milliseconds when complete.

    Raises JarsUnavailable after three tries, JavaMissing when there is no Java to run Ivy with.
    """
    sets = (SPARK_SET, KAFKA_SET)
    found = {one.name: installed(one) for one in sets}
    if any(jars is None for jars in found.values()):
        with _lock():
            missing = [one for one in sets if installed(one) is None]
            with ThreadPoolExecutor(max_workers=2) as pool:  # waiting for replies, not work, is what takes the time
                list(pool.map(_fetch, missing))
        found = {one.name: installed(one) for one in sets}
    return Jars(spark=found["spark"] or [], kafka=found["kafka"] or [])


def installed(one: JarSet) -> list[Path] | None:
    """Return the jars of a complete set, sorted, or None when it is absent, damaged or of other versions."""
    folder = jars_dir() / one.name
    try:
        marker = json.loads((folder / MARKER).read_text())
        sizes: dict[str, int] = marker["files"]
        if marker["request"] != _request(one) or not sizes:
            return None
        if any((folder / name).stat().st_size != size for name, size in sizes.items()):
            return None
    except (OSError, ValueError, KeyError):
        return None
    return [folder / name for name in sorted(sizes)]


def pyspark_jars_dir() -> Path:
    """Return the `jars` folder inside the installed pyspark. Raises JarsUnavailable when it is not installed."""
    spec = importlib.util.find_spec("pyspark")
    if spec is None or not spec.submodule_search_locations:
        raise JarsUnavailable("pyspark is not installed. Remedy: uv sync")
    return Path(spec.submodule_search_locations[0]) / "jars"


def _request(one: JarSet) -> list[str]:
    return [*one.coordinates, f"pyspark={SPARK_VERSION}"] if one.beside_pyspark else list(one.coordinates)


@contextmanager
def _lock() -> Iterator[None]:
    tools_dir().mkdir(parents=True, exist_ok=True)
    with (tools_dir() / "jars.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _fetch(one: JarSet) -> None:
    scratch = jars_dir() / f".{one.name}.partial"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    shipped = [jar.name for jar in pyspark_jars_dir().glob("*.jar")]
    try:
        retrieve(
            name=one.name,
            coordinates=one.coordinates,
            excluded=shipped if one.beside_pyspark else [],
            target=scratch,
            work_dir=tools_dir() / "ivy",
            ivy_jar=next(pyspark_jars_dir().glob("ivy-*.jar")),
            java=ensure_java(),
        )
    except (IvyFailed, OSError, StopIteration) as error:
        raise JarsUnavailable(f"{one.name} jars: {error}. Remedy: {REMEDY}") from error
    _publish(one, scratch)


def _publish(one: JarSet, scratch: Path) -> None:
    """Mark the scratch folder as complete and put it in place of the old set."""
    sizes = {jar.name: jar.stat().st_size for jar in scratch.glob("*.jar")}
    absent = [name for name in map(_file_name, one.coordinates) if name not in sizes]
    if absent:
        raise JarsUnavailable(f"{one.name} jars: {', '.join(absent)} did not arrive. Remedy: {REMEDY}")
    (scratch / MARKER).write_text(json.dumps({"request": _request(one), "files": sizes}, indent=1))
    final = jars_dir() / one.name
    shutil.rmtree(final, ignore_errors=True)
    scratch.rename(final)


def _file_name(coordinate: str) -> str:
    _, artifact, version = coordinate.split(":")
    return f"{artifact}-{version}.jar"


def main() -> int:
    """Make sure that all jars are there. Exit code 1 and one line on stderr when they cannot be fetched."""
    try:
        jars = ensure_jars()
    except (JarsUnavailable, JavaMissing) as error:
        print(f"jars: {error}", file=sys.stderr)
        return 1
    print(f"jars: {len(jars.spark)} for spark, {len(jars.kafka)} for kafka in {jars_dir()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
