"""Which Java is taken, and what is said of one that is not. The fakes are real executables on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.local import java
from infra.local.java import JavaMissing, find_java


@pytest.fixture(autouse=True)
def _nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.setenv("TIDEMARK_TOOLS", str(tmp_path / "tools"))


def _make(home: Path, *modules: str, code: int = 0) -> Path:
    """Write a `bin/java` that lists these modules."""
    executable = home / "bin" / "java"
    executable.parent.mkdir(parents=True)
    lines = "".join(f"echo {module}\n" for module in modules)
    executable.write_text(f"#!/bin/sh\n{lines}exit {code}\n")
    executable.chmod(0o755)
    (home / "lib").mkdir()
    (home / "lib" / "modules").touch()
    return executable


VECTOR_17 = ("java.base@17.0.15", "jdk.incubator.vector@17.0.15")


def test_java_home_wins_over_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _make(tmp_path / "on_path", *VECTOR_17)
    wanted = _make(tmp_path / "home", "java.base@21.0.2", "jdk.incubator.vector@21.0.2")
    monkeypatch.setenv("PATH", str(tmp_path / "on_path" / "bin"))
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "home"))
    found = find_java()
    assert (found.executable, found.major, found.home) == (wanted, 21, tmp_path / "home")
    assert found.environment() == {"JAVA_HOME": str(tmp_path / "home")}


def test_an_unfit_java_home_is_passed_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _make(tmp_path / "old", "java.base@11.0.1", "jdk.incubator.vector@11.0.1")
    wanted = _make(tmp_path / "tools" / "jdk" / "jdk-17", *VECTOR_17)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "old"))
    assert find_java().executable == wanted


def test_a_symlink_on_path_is_followed_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    real = _make(tmp_path / "real", *VECTOR_17)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "java").symlink_to(real)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert find_java().home == tmp_path / "real"


@pytest.mark.parametrize(
    ("modules", "code", "why"),
    [
        (("java.base@11.0.1",), 0, "is Java 11, wanted 17 or 21"),
        (("java.base@17.0.1",), 0, "lacks the module jdk.incubator.vector"),
        ((), 1, "does not run"),
    ],
)
def test_the_message_says_why_and_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, modules: tuple[str, ...], code: int, why: str
) -> None:
    _make(tmp_path / "home", *modules, code=code)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "home"))
    with pytest.raises(JavaMissing) as missing:
        find_java()
    assert why in str(missing.value)
    assert "Remedy: install a JDK" in str(missing.value)
    assert "\n" not in str(missing.value)


def test_nothing_found_and_nothing_installable_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise JavaMissing("no network")

    monkeypatch.setattr(java, "_install_with_apt", refuse)
    monkeypatch.setattr(java, "_install_with_pypi", refuse)
    with pytest.raises(JavaMissing, match=r"no java in .*Remedy: .*tried: no network; no network") as missing:
        java.ensure_java()
    assert "\n" not in str(missing.value)


def test_ensure_installs_and_looks_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse() -> None:
        raise JavaMissing("not root")

    def install() -> None:
        _make(tmp_path / "tools" / "jdk" / "jdk-17", *VECTOR_17)

    monkeypatch.setattr(java, "_install_with_apt", refuse)
    monkeypatch.setattr(java, "_install_with_pypi", install)
    assert java.ensure_java().major == 17
