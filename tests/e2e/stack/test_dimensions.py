"""A catalogue, costs and rates on the running stack: joined alike before and after a nightly run, and never lost."""

from __future__ import annotations

from pathlib import Path

import pytest

import serving
from speed_layer.store.runs import Runs
from tests.e2e.stack.installation import Installation, world

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]


def test_a_catalogue_that_changes_between_speed_and_nightly(house: Installation, tmp_path: Path) -> None:
    items = world(seed=33)
    house.pump(items[:800])
    house.await_visible()
    with serving.connect(house.settings) as tm:
        found = tm.sql("SELECT DISTINCT product_id FROM products ORDER BY ALL")["product_id"].to_pylist()
        ((hour,),) = tm.sql("SELECT approx_quantile(epoch(hour)::BIGINT, 0.5) AS at FROM products").to_pydict().values()
        (middle,) = tm.sql("SELECT make_timestamp(?::BIGINT * 1000000) AS at", [int(hour) // 3600 * 3600])["at"]
    catalogue = tmp_path / "catalogue.csv"
    rows = [f"{product},first {n % 3},b,1.00\n" for n, product in enumerate(found)]
    catalogue.write_text("product_id,category,brand,list_price\n" + "".join(rows))
    house.cli("catalog", "load", str(catalogue), "--valid-from", "2000-01-01")
    first = house.answer()
    catalogue.write_text(catalogue.read_text().replace("first 1", "second"))
    house.cli("catalog", "load", str(catalogue), "--valid-from", middle.as_py().isoformat())
    speed = house.answer()
    moved = {name for name in speed if speed[name] != first[name]}
    assert moved == {"view products", "view categories", "view catalogue"}
    house.cli("nightly")
    assert house.answer() == speed
    assert Runs(house.settings).manifest(str(house.published())).dimensions == {"products": 2}
    house.pump(items[800:])
    house.await_visible()
    merged = house.answer()
    house.cli("nightly")
    assert house.answer() == merged
    house.assert_exact()
