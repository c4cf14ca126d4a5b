"""`house`: one installation for all tests of this folder; a new one after a failure, or a test that spends it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.stack.installation import Installation


class Houses:
    """Keeps the installation that is in use."""

    def __init__(self, factory: pytest.TempPathFactory) -> None:
        self._factory = factory
        self._kept: Installation | None = None

    def give(self) -> Installation:
        """The one there is, with everything running."""
        if self._kept is None:
            self._kept = Installation(self._factory.mktemp("house"))
        self._kept.up()
        return self._kept

    def drop(self) -> None:
        """End the one there is."""
        if self._kept is not None:
            self._kept.__exit__()
            self._kept = None


_FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    item.stash[_FAILED] = item.stash.get(_FAILED, False) or report.failed
    return report


@pytest.fixture(scope="session")
def houses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Houses]:
    made = Houses(tmp_path_factory)
    yield made
    made.drop()


@pytest.fixture
def house(houses: Houses, request: pytest.FixtureRequest) -> Iterator[Installation]:
    kept = houses.give()
    yield kept
    if request.node.stash.get(_FAILED, False) or kept.is_spent:
        houses.drop()
