"""A change of the rules on the real stack: refused until it is upgraded to, then exact under the new rules."""

from __future__ import annotations

import pytest

from contracts.errors import RulesChanged
from tests.e2e.stack.installation import Installation, world

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]


def test_another_session_gap(house: Installation) -> None:
    items = world(seed=41)
    house.pump(items[:700])
    house.ensure_published()
    house.pump(items[700:900])
    house.await_visible()
    house.await_bronze()
    before = house.count("SELECT count(*) FROM sessions")
    house.kill("live")
    house.rules["SESSION_GAP_SECONDS"] = "900"
    assert "RulesChanged" in house.cli("query", "SELECT 1", code=RulesChanged.exit_code).err
    house.start("live")
    assert house.exit_code("live") == RulesChanged.exit_code
    house.cli("upgrade")
    house.start("live")
    house.await_visible()
    assert house.count("SELECT count(*) FROM sessions") > before
    house.assert_exact()
    house.pump(items[600:])
    house.await_visible()
    house.assert_exact()
    assert "RulesChanged" in house.cli("rollback", code=RulesChanged.exit_code).err
