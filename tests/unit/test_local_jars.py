"""A set of jars is whole or absent: whatever goes wrong, half of one is never taken for it."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from infra.local import ivy, jars
from infra.local.ivy import IvyFailed, artifact_of
from infra.local.jars import KAFKA_SET, SPARK_SET, JarSet, JarsUnavailable, ensure_jars, installed
from infra.local.java import Java


@pytest.fixture(autouse=True)
def tools(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("TIDEMARK_TOOLS", str(tmp_path))
    return tmp_path


class FakeMaven:
    """Stands for the network: puts one small jar per coordinate into the target."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []
        self.withheld: str | None = None
        self.error: Exception | None = None

    def __call__(self, **call: Any) -> None:
        self.calls.append(call)
        for _, artifact, version in (one.split(":") for one in call["coordinates"]):
            if artifact != self.withheld:
                (call["target"] / f"{artifact}-{version}.jar").write_bytes(b"jar of " + artifact.encode())
        if self.error is not None:
            raise self.error


@pytest.fixture
def maven(monkeypatch: pytest.MonkeyPatch) -> FakeMaven:
    fake = FakeMaven()
    monkeypatch.setattr(jars, "retrieve", fake)
    return fake


def test_both_sets_are_fetched_once(maven: FakeMaven) -> None:
    first = ensure_jars()
    assert {path.name for path in first.spark} == {
        "delta-spark_4.2_2.13-4.4.0.jar",
        "spark-sql-kafka-0-10_2.13-4.2.0.jar",
    }
    assert "kafka_2.13-4.1.1.jar" in {path.name for path in first.kafka}
    assert ensure_jars() == first
    assert len(maven.calls) == 2


def test_only_the_spark_set_leaves_out_what_pyspark_ships(maven: FakeMaven) -> None:
    ensure_jars()
    excluded = {call["name"]: {artifact_of(jar) for jar in call["excluded"]} for call in maven.calls}
    assert {"spark-core_2.13", "scala-library", "slf4j-api"} <= excluded["spark"]
    assert "kafka-clients" not in excluded["spark"]
    assert excluded["kafka"] == set()


def test_a_failed_fetch_leaves_nothing_that_counts(maven: FakeMaven, tools: Path) -> None:
    maven.error = IvyFailed("3 tries failed")
    with pytest.raises(JarsUnavailable, match=r"3 tries failed.*Remedy: .*infra\.local\.jars"):
        ensure_jars()
    assert installed(SPARK_SET) is None
    assert not (tools / "jars" / "spark").exists()
    maven.error = None
    assert ensure_jars().spark


def test_a_fetch_that_forgot_a_jar_is_refused(maven: FakeMaven) -> None:
    maven.withheld = "log4j-slf4j2-impl"
    with pytest.raises(JarsUnavailable, match=r"log4j-slf4j2-impl-2\.24\.3\.jar did not arrive"):
        ensure_jars()
    assert installed(KAFKA_SET) is None


@pytest.mark.parametrize("damage", ["truncate", "delete", "no marker", "bad marker", "other versions"])
def test_damage_is_noticed_and_mended(maven: FakeMaven, damage: str) -> None:
    victim = ensure_jars().kafka[0]
    marker = victim.parent / jars.MARKER
    if damage == "truncate":
        victim.write_bytes(b"")
    elif damage == "delete":
        victim.unlink()
    elif damage == "no marker":
        marker.unlink()
    elif damage == "bad marker":
        marker.write_text("{")
    else:
        marker.write_text(json.dumps({**json.loads(marker.read_text()), "request": ["org:kafka:0"]}))
    assert installed(KAFKA_SET) is None
    assert installed(SPARK_SET) is not None
    ensure_jars()
    assert installed(KAFKA_SET) is not None
    assert [call["name"] for call in maven.calls].count("kafka") == 2
    assert [call["name"] for call in maven.calls].count("spark") == 1


def test_concurrent_callers_fetch_once(maven: FakeMaven) -> None:
    callers = [threading.Thread(target=ensure_jars) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert len(maven.calls) == 2


@pytest.mark.parametrize(
    ("jar", "artifact"),
    [
        ("spark-sql-kafka-0-10_2.13-4.2.0.jar", "spark-sql-kafka-0-10_2.13"),
        ("log4j-1.2-api-2.25.4.jar", "log4j-1.2-api"),
        ("guava-33.6.0-jre.jar", "guava"),
        ("netty-transport-native-epoll-4.2.13.Final-linux-x86_64.jar", "netty-transport-native-epoll"),
        ("orc-core-2.3.0-shaded-protobuf.jar", "orc-core"),
        ("nameless.jar", "nameless"),
    ],
)
def test_artifact_of(jar: str, artifact: str) -> None:
    assert artifact_of(jar) == artifact


def _retrieve(tmp_path: Path, script: str) -> None:
    """Run the real `retrieve` with a small program in the place of Java."""
    program = tmp_path / "java"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    one = JarSet("demo", ("org.example:thing:1.0",), beside_pyspark=True)
    ivy.retrieve(
        name=one.name,
        coordinates=one.coordinates,
        excluded=["scala-library-2.13.18.jar"],
        target=tmp_path / "out",
        work_dir=tmp_path / "ivy",
        ivy_jar=tmp_path / "ivy.jar",
        java=Java(None, program, 17),
    )


def test_ivy_is_tried_three_times_then_a_typed_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pauses: list[float] = []
    # Ivy's own view of the module: other threads of the test process sleep, too.
    monkeypatch.setattr(ivy, "time", SimpleNamespace(sleep=pauses.append, monotonic=time.monotonic))
    runs = tmp_path / "runs"
    with pytest.raises(IvyFailed, match="UnknownHostException: nowhere"):
        _retrieve(tmp_path, f"echo run >> {runs}; echo ':: UnknownHostException: nowhere'; exit 1")
    assert runs.read_text() == "run\n" * 3
    assert pauses == [ivy.PAUSE_SECONDS] * 2
    assert "try 3 of 3" in capsys.readouterr().err


def test_ivy_reports_files_megabytes_and_seconds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _retrieve(tmp_path, "echo '... (2048kB)'; echo '[SUCCESSFUL ] thing'; exit 0")
    assert "demo: done: 1 files, 2.0 MB, 0 s" in capsys.readouterr().err


def test_ivy_is_given_no_host_unless_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _retrieve(tmp_path, "exit 0")
    settings = tmp_path / "ivy" / "demo" / "ivysettings.xml"
    assert "://" not in settings.read_text()
    assert '<exclude module="scala-library"/>' in (tmp_path / "ivy" / "demo" / "ivy.xml").read_text()
    monkeypatch.setenv("TIDEMARK_MAVEN_ROOT", "https://mirror.example/?a=1&b=2")
    _retrieve(tmp_path, "exit 0")
    assert 'root="https://mirror.example/?a=1&amp;b=2"' in settings.read_text()
