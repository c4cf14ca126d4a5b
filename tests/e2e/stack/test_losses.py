"""L5 on the real stack: whatever is lost, there is a typed error or exact recovery, never a quiet zero."""

from __future__ import annotations

import json

import pytest
from deltalake import CommitProperties, DeltaTable, write_deltalake

from contracts.errors import StoreUnavailable, WarehouseDamaged
from speed_layer.store.runs import Runs
from tests.e2e.stack.installation import KILLED, Installation, world

pytestmark = [pytest.mark.stack, pytest.mark.timeout(1500)]


def test_the_store_is_lost(house: Installation) -> None:
    items = world(seed=31)
    house.pump(items[:600])
    house.ensure_published(afresh=True)
    house.pump(items[600:1000])
    house.await_visible()
    before = house.answer()
    house.down()
    house.forget("store.sqlite*")
    assert "StoreUnavailable" in house.cli("query", "SELECT 1", code=StoreUnavailable.exit_code).err
    assert house.cli("recover", "--json").json["run_id"] == house.published()
    house.up()
    house.await_visible()
    assert house.answer() == before
    house.pump(items[500:])  # copies of what lies below the cut, and of what lies behind it
    house.await_visible()
    house.assert_exact()


def test_both_checkpoints_are_lost(house: Installation) -> None:
    items = world(seed=32, messages=600)
    house.pump(items[:300])
    house.await_visible()
    before, old = house.answer(), house.generation()
    house.kill("live", "bronze")
    house.forget("checkpoints")
    assert house.answer() == before
    house.up()
    house.until(lambda: house.generation() > old, "a new generation to be adopted")
    assert house.answer() == before
    house.pump(items[200:])
    house.await_visible()
    house.await_bronze()
    assert house.bronze_rows() == house.records()
    house.assert_exact()


def test_the_bronze_table_is_lost(house: Installation) -> None:
    house.pump(world(seed=33, messages=100))
    house.kill("bronze")
    house.forget("warehouse/bronze")
    house.start("bronze")
    house.await_visible()
    house.await_bronze()
    assert house.bronze_rows() == house.records(), "read again from Kafka, every record once"
    house.assert_exact()


def test_gold_is_damaged(house: Installation) -> None:
    house.ensure_published()
    house.await_visible()
    house.await_bronze()
    before = house.answer()
    at = f"{house.settings.warehouse_path}/gold/sessions"
    run = Runs(house.settings).manifest(str(house.published()))
    empty = DeltaTable(at).to_pyarrow_dataset().schema.empty_table()

    def refuses(why: str) -> None:
        said = house.cli(
            "query", "SELECT count(*) AS sessions FROM sessions", "--json", code=WarehouseDamaged.exit_code
        )
        assert "WarehouseDamaged" in said.err, why
        assert "tidemark" in said.err, "the remedy"

    house.forget("warehouse/gold/sessions/*.parquet")
    refuses("files of the table are missing")
    house.forget("warehouse/gold/sessions")
    refuses("the table is missing")
    said = CommitProperties({"userMetadata": json.dumps({"run_id": "another"})})
    for _ in range(run.tables["gold.sessions"] + 1):
        write_deltalake(at, empty, mode="overwrite", commit_properties=said)
    assert DeltaTable(at).version() == run.tables["gold.sessions"]
    refuses("another table took its place, and its version")
    house.forget("warehouse/gold/sessions")
    run_id = house.new_run_id()
    house.cli("nightly", "--run-id", run_id, failpoint="publish.manifest_written", code=KILLED)
    house.cli("batch", "publish", "--run-id", run_id)
    assert house.answer() == before
    house.assert_exact()
