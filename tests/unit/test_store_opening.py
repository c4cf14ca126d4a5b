"""Opening a store: made where it is missing, refused with a remedy where it cannot be used."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from contracts.errors import SettingInvalid, StoreUnavailable
from speed_layer.store import open_store
from tests.conftest_store import NOW


def test_a_missing_store_is_made_with_its_folder(tmp_path: Path) -> None:
    with open_store(f"sqlite:///{tmp_path}/a/b c/store.sqlite") as store, store.read() as reader:
        assert reader.generations() == []
        assert reader.size_bytes() > 0


def test_opening_again_finds_what_was_written(store_url: str) -> None:
    with open_store(store_url) as store, store.write() as writer:
        writer.register_log("events", "topic-a", NOW)
    with open_store(store_url, create=False) as store, store.read() as reader:
        assert [log.topic_id for log in reader.logs()] == ["topic-a"]


def test_a_missing_store_is_not_made_when_it_must_exist(store_url: str) -> None:
    with pytest.raises(StoreUnavailable) as refused:
        open_store(store_url, create=False)
    assert "tidemark recover" in refused.value.remedy


def test_many_may_open_a_new_store_at_once(store_url: str) -> None:
    start = Barrier(4)

    def opened() -> None:
        start.wait()
        open_store(store_url).close()

    with ThreadPoolExecutor() as pool:
        for opening in [pool.submit(opened) for _ in range(4)]:
            opening.result()


@pytest.mark.parametrize("url", ["", "sqlite://", "sqlite:///:memory:", "mysql://x/y", "no url"])
def test_a_url_of_another_kind_is_refused(url: str) -> None:
    with pytest.raises(SettingInvalid) as refused:
        open_store(url)
    assert "TIDEMARK_STORE_URL" in refused.value.remedy


def test_an_unreachable_server_is_said_without_the_password() -> None:
    with pytest.raises(StoreUnavailable) as refused:
        open_store("postgresql://me:secret@127.0.0.1:9/tidemark")
    assert "secret" not in f"{refused.value} {refused.value.remedy}"
    assert "reachable" in refused.value.remedy


def test_a_file_that_is_no_store_is_refused(tmp_path: Path) -> None:
    (tmp_path / "store.sqlite").write_text("this is not a database, but a text about the tide\n" * 100)
    with pytest.raises(StoreUnavailable) as refused:
        open_store(f"sqlite:///{tmp_path}/store.sqlite")
    assert "damaged" in refused.value.remedy


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnavailable):
        open_store(f"sqlite:///{tmp_path}/file/store.sqlite")


def test_tables_of_another_version_are_refused(store_url: str) -> None:
    with open_store(store_url) as store, store.write() as writer:
        writer.connection.exec_driver_sql("UPDATE store_info SET version = 99")
    with pytest.raises(StoreUnavailable, match="version 99"):
        open_store(store_url)


def test_a_file_deleted_while_in_use_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    with open_store(f"sqlite:///{path}") as store:
        path.unlink()
        with pytest.raises(StoreUnavailable), store.write() as writer:
            writer.set_note("lost", "in a file nobody sees")
        with open_store(f"sqlite:///{path}"), pytest.raises(StoreUnavailable), store.read():
            pass
