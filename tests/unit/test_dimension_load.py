"""Loading: one commit, the version that is read, loads side by side, what dies in between, and getting back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from shutil import rmtree
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from typer.testing import CliRunner

import serving
from contracts import semantics
from contracts.dimensions import DIMENSIONS, PRODUCTS
from contracts.errors import DimensionBusy, DimensionInvalid, SettingInvalid, TidemarkError, WarehouseDamaged
from contracts.reports import REPORTS
from contracts.semantics import semantics_hash
from contracts.settings import Settings
from infra.cli import app
from infra.dimensions import load
from infra.local.paths import repo_root
from infra.recover import run_recover
from serving.api.app import create_app
from serving.status import status
from spark_jobs.jobs.gold import table_names
from spark_jobs.jobs.publish import publish
from spark_jobs.jobs.silver import EVENTS
from speed_layer.store.runs import RunCut, Runs
from tests.unit.dimensions import NOW, catalogue, costs, products, rates, read_versions, stored
from tests.unit.installation import START, Installation, event, shop

CATALOGUE = products(("p1", "shoes", "12.50"), ("p2", "hats", 9))
CATEGORIES = "SELECT category, sum(views)::BIGINT AS views FROM categories GROUP BY ALL ORDER BY ALL"
EARLY = "2024-01-01"


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    made = Installation(tmp_path / "home")
    yield made
    made.close()


def test_tables_are_as_every_other_table(installation: Installation) -> None:
    store, settings = installation.store, installation.settings
    catalogue(store, settings, CATALOGUE)
    costs(store, settings, "day,channel,campaign,amount\n2024-05-01,Email,,1\n")
    rates(store, settings, "day,currency,rate\n2024-05-01,EUR,1.1\n")
    for dimension in DIMENSIONS.values():
        table = DeltaTable(settings.table_path(dimension.table))
        assert (table.protocol().min_reader_version, table.protocol().min_writer_version) == (1, 2)
        assert table.metadata().description == dimension.description
        comments = {field.name: field.metadata.get("comment") for field in table.schema().fields}
        assert comments == {name: dimension.says(name) for name in dimension.schema.names}
        assert pa.schema(table.to_pyarrow_table().schema).equals(dimension.schema)


def test_a_dimension_is_no_rule() -> None:
    assert "contracts/dimensions.py" in semantics._NOT_RULES
    rules = Settings().rules
    assert "reporting_currency" not in rules
    assert semantics_hash(rules) == semantics_hash(Settings(reporting_currency="EUR").rules)
    with pytest.raises(SettingInvalid, match="TIDEMARK_REPORTING_CURRENCY"):
        Settings.from_env({"TIDEMARK_REPORTING_CURRENCY": "eur'"})


def test_the_same_file_twice_makes_no_new_version(installation: Installation) -> None:
    first = catalogue(installation.store, installation.settings, CATALOGUE)
    again = catalogue(installation.store, installation.settings, CATALOGUE, "2024-07-01")
    assert (first.changed, again.changed) == (2, 0)
    assert first.version == again.version == DeltaTable(installation.settings.table_path(PRODUCTS.table)).version()
    assert read_versions(installation.store)["products"].version == first.version
    text = "day,currency,rate\n2024-05-01,EUR,1.10\n"
    assert rates(installation.store, installation.settings, text).changed == 1
    assert rates(installation.store, installation.settings, text.replace("1.10", "1.1")).changed == 0


def test_readers_see_a_load_at_their_next_refresh_without_reading_gold(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation.record([event(0, START, product_id="p1")])
    installation.seal("r1")
    installation.publish("r1")
    installation.record([event(1, START, product_id="p2")])
    with serving.connect(installation.settings) as tm:
        assert tm.sql(CATEGORIES).to_pylist() == [{"category": "(not in catalogue)", "views": 2}]
        assert tm.as_of.to_json()["dimensions"] == {}
        monkeypatch.setattr("serving.merge.table_at", lambda *_: pytest.fail("gold is read again"))
        done = catalogue(installation.store, installation.settings, CATALOGUE, EARLY)
        assert tm.refresh().to_json()["dimensions"] == {"products": done.version}
        rows, as_of = tm.answer(CATEGORIES)
        assert rows.to_pylist() == [{"category": "hats", "views": 1}, {"category": "shoes", "views": 1}]
        assert as_of["dimensions"] == {"products": done.version}
        before = tm.as_of
        catalogue(installation.store, installation.settings, CATALOGUE, "2024-02-01")
        assert tm.refresh() is before
        found = status(installation.settings, installation.now)["dimensions"]
        assert found == {"products": {"version": done.version, "loaded_at": "2024-06-01T00:00:00Z"}}


def test_the_api_takes_up_a_load_by_itself(installation: Installation) -> None:
    installation.record([event(0, START, product_id="p1")])
    app = create_app(installation.settings)
    refresher = app.state.refresher
    refresher.step()
    catalogue(installation.store, installation.settings, CATALOGUE, EARLY)
    refresher.step()
    assert refresher.trouble is None
    assert refresher.as_of["dimensions"] == {"products": 1}
    assert refresher.views.sql(CATEGORIES).to_pylist() == [{"category": "shoes", "views": 1}]
    refresher.stop()


def test_a_rolled_back_run_keeps_the_catalogue(installation: Installation) -> None:
    catalogue(installation.store, installation.settings, CATALOGUE, EARLY)
    with serving.connect(installation.settings) as tm:
        for number, run_id in enumerate(("r1", "r2")):
            installation.record([event(number, START, product_id="p1")])
            installation.seal(run_id)
            installation.publish(run_id)
        catalogue(installation.store, installation.settings, CATALOGUE.replace("shoes", "boots"), "2024-02-01")
        with installation.store.write() as writer:
            writer.rollback(installation.now)
        tm.refresh()
        assert (tm.as_of.run_id, tm.as_of.dimensions["products"].version) == ("r1", 2)
        assert tm.sql(CATEGORIES).to_pylist() == [{"category": "boots", "views": 2}]


def test_of_loads_side_by_side_none_is_lost(installation: Installation) -> None:
    faults: list[BaseException] = []

    def one(number: int) -> None:
        path = installation.settings.home.parent / f"c{number}.csv"
        path.write_text(products((f"q{number}", "a", 1)))
        try:
            load.load_catalogue(
                installation.settings, installation.store, path, None, NOW, is_complete=False, anew=False
            )
        except DimensionBusy as busy:  # said, and nothing of it taken
            faults.append(busy)
        except BaseException as error:  # noqa: BLE001 - a thread's error must reach the test
            faults.append(AssertionError(repr(error)))

    threads = [threading.Thread(target=one, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(isinstance(fault, DimensionBusy) for fault in faults)
    rows = stored(installation.settings, PRODUCTS)
    assert len({row["product_id"] for row in rows}) == len(rows) == 4 - len(faults)
    version = DeltaTable(installation.settings.table_path(PRODUCTS.table)).version()
    assert read_versions(installation.store)["products"].version == version


def test_a_load_between_is_merged_with(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    changed_keys, others = load.changed_keys, iter((products(("p9", "x", 1)),))

    def overtaken(*given: Any) -> int:
        if text := next(others, None):
            catalogue(installation.store, installation.settings, text)
        return changed_keys(*given)

    monkeypatch.setattr(load, "changed_keys", overtaken)
    path = installation.settings.home.parent / "mine.csv"
    path.write_text(CATALOGUE)
    load.load_catalogue(installation.settings, installation.store, path, None, NOW, is_complete=False, anew=False)
    assert [row["product_id"] for row in stored(installation.settings, PRODUCTS)] == ["p1", "p2", "p9"]


def test_who_is_always_overtaken_is_told(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    commit, count = load._commit, iter(range(100))

    def overtaken(table: DeltaTable, rows: pa.Table, *more: Any) -> None:
        commit(DeltaTable(table.table_uri), rows.slice(0, next(count) % 2), *more)
        commit(table, rows, *more)

    monkeypatch.setattr(load, "_commit", overtaken)
    with pytest.raises(DimensionBusy):
        catalogue(installation.store, installation.settings, CATALOGUE)
    assert read_versions(installation.store) == {}


def test_what_died_before_the_version_was_read_is_put_right_by_loading_again(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue(installation.store, installation.settings, CATALOGUE, EARLY)
    changed = CATALOGUE.replace("shoes", "boots")
    with monkeypatch.context() as broken:
        broken.setattr("speed_layer.store.Writer.set_dimension", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            catalogue(installation.store, installation.settings, changed, "2024-02-01")
    assert read_versions(installation.store)["products"].version == 1
    again = catalogue(installation.store, installation.settings, changed, "2024-02-01")
    assert (again.changed, again.version) == (0, 2)
    assert read_versions(installation.store)["products"].version == 2


def test_killed_between_commit_and_note(installation: Installation) -> None:
    """A power cut at the worst moment: answers stay as they were, and loading again is all it takes."""
    catalogue(installation.store, installation.settings, CATALOGUE, EARLY)
    path = installation.settings.home.parent / "changed.csv"
    path.write_text(CATALOGUE.replace("shoes", "boots"))
    words = ["catalog", "load", str(path), "--valid-from", "2024-02-01", "--json"]
    env = {**os.environ, "TIDEMARK_HOME": str(installation.settings.home), "TIDEMARK_FAILPOINT": "dimension.committed"}
    killed = subprocess.run([sys.executable, "-m", "infra.cli", *words], env=env, cwd=repo_root(), check=False)
    assert killed.returncode == -signal.SIGKILL
    assert read_versions(installation.store)["products"].version == 1
    assert run(installation.settings, *words) | {"changed": 0, "version": 2} == run(installation.settings, *words)
    assert read_versions(installation.store)["products"].version == 2


def test_a_lost_table_is_said_and_can_be_begun_anew(installation: Installation) -> None:
    installation.record([event(0, START, product_id="p1")])
    catalogue(installation.store, installation.settings, CATALOGUE, EARLY)
    with serving.connect(installation.settings) as tm:
        rmtree(installation.settings.table_path(PRODUCTS.table))
        assert tm.refresh() is tm.as_of  # what is in memory stays
        with pytest.raises(WarehouseDamaged, match="dimension/products") as damaged:
            serving.connect(installation.settings)
        assert "--anew" in damaged.value.remedy
        with pytest.raises(WarehouseDamaged, match="gone"):
            catalogue(installation.store, installation.settings, CATALOGUE, EARLY)
        catalogue(installation.store, installation.settings, CATALOGUE.replace("shoes", "boots"), EARLY, anew=True)
        tm.refresh()
        # The version's number is the one before; the table is another.
        assert tm.as_of.dimensions["products"].version == 1
        assert tm.sql(CATEGORIES).to_pylist() == [{"category": "boots", "views": 1}]


def test_a_table_that_was_set_back_is_said(installation: Installation) -> None:
    catalogue(installation.store, installation.settings, CATALOGUE)
    catalogue(installation.store, installation.settings, CATALOGUE.replace("shoes", "boots"), "2024-07-01")
    log = Path(installation.settings.table_path(PRODUCTS.table)) / "_delta_log"
    (log / f"{2:020}.json").unlink()
    with pytest.raises(WarehouseDamaged, match="up to version 2"):
        catalogue(installation.store, installation.settings, CATALOGUE)
    catalogue(installation.store, installation.settings, CATALOGUE, anew=True)
    assert read_versions(installation.store)["products"].version == 1


def test_another_table_in_the_place_of_the_loaded_one_is_said(installation: Installation) -> None:
    catalogue(installation.store, installation.settings, CATALOGUE)
    with installation.store.write() as writer:
        writer.set_note("dimension/products", json.dumps({"version": 1, "table_id": "x", "loaded_at": NOW.isoformat()}))
    with pytest.raises(WarehouseDamaged, match="another table"):
        serving.connect(installation.settings)


def test_a_failed_load_of_a_version_leaves_the_last_answer(installation: Installation) -> None:
    installation.record([event(0, START, product_id="p1")])
    catalogue(installation.store, installation.settings, CATALOGUE, EARLY)
    with serving.connect(installation.settings) as tm:
        before = tm.answer(CATEGORIES)
        catalogue(installation.store, installation.settings, CATALOGUE.replace("shoes", "boots"), "2024-02-01")
        folder = Path(installation.settings.table_path(PRODUCTS.table))
        away = folder.rename(folder.with_name("away"))
        for _ in range(2):
            with pytest.raises(WarehouseDamaged):
                tm.refresh()
        assert tm.answer(CATEGORIES) == before
        away.rename(folder)
        tm.refresh()
        assert tm.sql(CATEGORIES).to_pylist() == [{"category": "boots", "views": 1}]


def test_a_publish_records_the_versions_of_its_moment(installation: Installation) -> None:
    catalogue(installation.store, installation.settings, CATALOGUE)
    installation.record(shop(1, 10))
    installation.seal("r1")
    runs = Runs(installation.settings)
    with installation.store.read() as reader:
        cut = reader.cut("r1")
    assert cut is not None
    place = (1, "topic-a", dict(cut.offsets), 1, cut.segment, cut.batch, cut.semantics_hash, 0, NOW.isoformat())
    runs.write_cut(RunCut("r1", *place))
    gold = (f"gold.{name}" for name in table_names(installation.algebra))
    for name in (EVENTS, "gold.quality", *gold, *(report.table for report in REPORTS.values())):
        runs.write_table("r1", name, 0, 0)
    runs.write_verified("r1", [])
    publish(installation.settings, installation.store, "r1", NOW)
    catalogue(installation.store, installation.settings, CATALOGUE.replace("shoes", "boots"), "2024-07-01")
    assert runs.manifest("r1").dimensions == {"products": 1}


def published(installation: Installation) -> None:
    installation.record(shop(1, 30))
    installation.seal("r1")
    manifest = installation.publish("r1")
    versions = {name: v.version for name, v in read_versions(installation.store).items()}
    Runs(installation.settings).write_manifest(type(manifest)(**{**_fields(manifest), "dimensions": versions}))


def _fields(record: Any) -> dict[str, Any]:
    return {name: getattr(record, name) for name in record.__dataclass_fields__}


def test_recover_restores_the_versions_that_were_read(installation: Installation) -> None:
    catalogue(installation.store, installation.settings, CATALOGUE, EARLY)
    published(installation)
    rates(installation.store, installation.settings, "day,currency,rate\n2024-05-01,EUR,1.1\n")
    with serving.connect(installation.settings) as tm:
        before = [tm.sql(f"FROM {view} ORDER BY ALL") for view in ("products", "categories", "revenue_reporting")]
    installation.close()
    for file in installation.settings.home.glob("store.sqlite*"):
        file.unlink()
    found = run_recover(installation.settings, datetime(2024, 6, 2, tzinfo=UTC))
    assert found["dimensions"] == {"products": 1, "exchange_rates": 1}
    with serving.connect(installation.settings) as tm:
        after = [tm.sql(f"FROM {view} ORDER BY ALL") for view in ("products", "categories", "revenue_reporting")]
        assert after == before
        assert tm.as_of.to_json()["dimensions"] == {"products": 1, "exchange_rates": 1}


def test_recover_says_where_a_dimension_is_lost_too(installation: Installation) -> None:
    catalogue(installation.store, installation.settings, CATALOGUE, EARLY)
    published(installation)
    installation.close()
    for file in installation.settings.home.glob("store.sqlite*"):
        file.unlink()
    rmtree(installation.settings.table_path(PRODUCTS.table))
    with pytest.raises(WarehouseDamaged, match="dimension/products is gone"):
        run_recover(installation.settings, NOW)
    assert not (installation.settings.home / "store.sqlite").exists()


def run(settings: Settings, *words: str) -> Any:
    env = {"TIDEMARK_HOME": str(settings.home), "TIDEMARK_KAFKA": "127.0.0.1:1", "COLUMNS": "200"}
    result = CliRunner().invoke(app, list(words), env=env)
    if isinstance(result.exception, TidemarkError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout) if "--json" in words else result.stdout


def test_the_commands(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home")
    files = {
        "catalog": CATALOGUE,
        "costs": "day,channel,campaign,amount\n2024-05-01,Email,may,10.50\n",
        "rates": "day,currency,rate\n2024-05-01,EUR,1.1\n",
    }
    for command, text in files.items():
        path = tmp_path / f"{command}.csv"
        path.write_text(text)
        assert run(settings, command, "load", str(path), "--json")["unchanged"] is False
        assert "Unchanged" in run(settings, command, "load", str(path))
        assert len(run(settings, command, "show", "--json")) == text.count("\n") - 1
    assert "hats" in run(settings, "catalog", "show", "p2")
    assert "shoes" not in run(settings, "catalog", "show", "p2")
    later = ("--valid-from", "2099-01-01T00:00:00Z", "--complete", "--json")
    (tmp_path / "catalog.csv").write_text(products(("p1", "shoes", "12.50")))
    assert run(settings, "catalog", "load", str(tmp_path / "catalog.csv"), *later)["changed"] == 1
    (row,) = run(settings, "catalog", "show", "p2", "--json")
    assert row["valid_to"] == "2099-01-01T00:00:00Z"
    with pytest.raises(DimensionInvalid, match="no time"):
        run(settings, "catalog", "load", str(tmp_path / "catalog.csv"), "--valid-from", "soon")
    (tmp_path / "history.csv").write_text(products(("p1", "shoes", 1, EARLY, "")))
    with pytest.raises(DimensionInvalid, match="history, not a snapshot"):
        run(settings, "catalog", "load", str(tmp_path / "history.csv"), "--complete")
