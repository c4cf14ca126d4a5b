"""The disk that holds the store fills while live runs: it stops and says so, and nothing is lost once there is room."""

from __future__ import annotations

import resource

import psutil
import pytest

from contracts.errors import StoreUnavailable
from tests.e2e.stack.installation import Installation, world

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]
NO_LIMIT = resource.RLIM_INFINITY


def test_the_disk_of_the_store_is_full(house: Installation) -> None:
    items = world(seed=71, messages=1500)
    house.pump(items[:500])
    house.await_visible()
    # The kernel refuses the process every byte beyond a file's present size, as a full disk would.
    size = max(f.stat().st_size for f in house.home.glob("store.sqlite*"))
    psutil.Process(house.processes["live"].popen.pid).rlimit(psutil.RLIMIT_FSIZE, (size, NO_LIMIT))
    house.pump(items[500:])
    log = house.processes["live"]
    assert house.exit_code("live") == StoreUnavailable.exit_code, log.tail()
    assert "Free space on the disk that holds the store" in log.tail()
    house.start("live")
    house.await_visible()
    house.await_bronze()
    house.assert_exact()
