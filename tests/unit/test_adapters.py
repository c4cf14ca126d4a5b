"""Replay sources: the REES46 adapter, whatever the file's state, and how a source is named."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from contracts.errors import TidemarkError
from speed_layer.replay import (
    BadRow,
    Rees46Source,
    ReplayFileMissing,
    ReplayFileUnreadable,
    SimulatorSource,
    SourceItem,
    SourceMessage,
    SourceOptionInvalid,
    SourceUnknown,
    open_source,
)
from speed_layer.replay.lines import LONGEST_LINE_BYTES
from speed_layer.replay.rees46 import COLUMNS, Visitor, estimate_rees46, read_rees46

REAL_FOLDER = Path(__file__).parents[3] / "shared" / "data" / "rees46"
HEADER = ",".join(COLUMNS)
SESSION = "72d76fde-8bb3-4e00-8c23-a032dfed738c"
VIEW = f"2019-10-01 00:00:00 UTC,view,44600062,2103807459595387724,,shiseido,35.79,541312140,{SESSION}"
CART = f"2019-10-01 00:00:01 UTC,cart,3900821,2053013552326770905,appliances.kettle,,33.20,554748717,{SESSION}"
REMOVAL = CART.replace(",cart,", ",remove_from_cart,")
ORDER = CART.replace(",cart,", ",purchase,")

real_log = pytest.mark.skipif(not REAL_FOLDER.exists(), reason="the real log is not beside this repository")


def write_log(folder: Path, *rows: str, end: str = "\n", name: str = "events.csv") -> Path:
    path = folder / name
    data = ("\n".join((HEADER, *rows)) + end).encode()
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


def items_of(path: Path, visitor: Visitor = "user_id") -> list[SourceItem]:
    return list(read_rees46(path, visitor))


def only_message(path: Path, visitor: Visitor = "user_id") -> dict[str, Any]:
    (item,) = items_of(path, visitor)
    assert isinstance(item, SourceMessage)
    return decoded(item)


def decoded(message: SourceMessage) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(message.raw, parse_float=Decimal)
    return made


@pytest.fixture(scope="module")
def real_messages() -> list[dict[str, Any]]:
    items = items_of(REAL_FOLDER / "events.csv")
    assert all(isinstance(item, SourceMessage) for item in items)
    return [decoded(item) for item in items if isinstance(item, SourceMessage)]


@pytest.fixture(scope="module")
def expected() -> dict[str, Any]:
    made: dict[str, Any] = json.loads((REAL_FOLDER / "expected.json").read_text(), parse_float=Decimal)
    return made


@real_log
def test_real_log_has_its_published_counts(real_messages: list[dict[str, Any]], expected: dict[str, Any]) -> None:
    names = Counter(message["event"] for message in real_messages)
    assert len(real_messages) == expected["rows"]
    assert len({message["messageId"] for message in real_messages}) == expected["rows"] - 5
    assert names["Product Viewed"] == expected["by_type"]["view"]
    assert names["Product Added"] == expected["by_type"]["cart"]
    assert names["Order Completed"] == expected["by_type"]["purchase"]
    assert len({message["anonymousId"] for message in real_messages}) == expected["users"]


@real_log
def test_real_log_keeps_its_revenue_exactly(real_messages: list[dict[str, Any]], expected: dict[str, Any]) -> None:
    orders = [message["properties"] for message in real_messages if message["event"] == "Order Completed"]
    by_brand: Counter[str | None] = Counter()
    for order in orders:
        (line,) = order["products"]
        assert line["price"] == order["total"]
        by_brand[line.get("brand")] += order["total"]
    assert sum(order["total"] for order in orders) == expected["revenue_purchase"]
    assert by_brand.most_common(5) == [tuple(pair) for pair in expected["top_brands_by_revenue"]]


@real_log
def test_real_log_by_user_session_has_another_visitor(expected: dict[str, Any]) -> None:
    source = open_source(f"rees46:{REAL_FOLDER / 'events.csv'}?visitor=user_session")
    visitors = {decoded(item)["anonymousId"] for item in source.messages() if isinstance(item, SourceMessage)}
    assert len(visitors) == expected["user_sessions"]


@real_log
def test_real_log_estimate_is_near() -> None:
    assert estimate_rees46(REAL_FOLDER / "events.csv") == pytest.approx(17_434, rel=0.02)


def test_view_becomes_product_viewed(tmp_path: Path) -> None:
    (item,) = items_of(write_log(tmp_path, VIEW))
    assert isinstance(item, SourceMessage)
    assert item.send_at == datetime(2019, 10, 1, tzinfo=UTC)
    assert (item.sent_at, item.ip, item.user_agent) == (None, None, None)
    message = json.loads(item.raw)
    assert len(message.pop("messageId")) == 32
    assert message == {
        "type": "track",
        "event": "Product Viewed",
        "anonymousId": "541312140",
        "timestamp": "2019-10-01T00:00:00Z",
        "properties": {
            "product_id": "44600062",
            "category_id": "2103807459595387724",
            "brand": "shiseido",
            "price": 35.79,
            "currency": "USD",
        },
    }


@pytest.mark.parametrize(("row", "name"), [(CART, "Product Added"), (REMOVAL, "Product Removed")])
def test_cart_rows_carry_a_quantity(tmp_path: Path, row: str, name: str) -> None:
    message = only_message(write_log(tmp_path, row))
    assert message["event"] == name
    assert message["properties"]["quantity"] == 1
    assert message["properties"]["category"] == "appliances.kettle"
    assert "brand" not in message["properties"]


def test_purchase_becomes_an_order_of_one_line_without_an_order_id(tmp_path: Path) -> None:
    message = only_message(write_log(tmp_path, ORDER))
    line = {
        "product_id": "3900821",
        "category": "appliances.kettle",
        "category_id": "2053013552326770905",
        "price": Decimal("33.20"),
        "quantity": 1,
    }
    assert message["event"] == "Order Completed"
    assert message["properties"] == {"total": Decimal("33.20"), "products": [line], "currency": "USD"}


@pytest.mark.parametrize("price", ["33.20", "0.10", "1004.00", "0", "90071992547409.93", "12.345"])
def test_price_keeps_its_digits(tmp_path: Path, price: str) -> None:
    rows = [row.replace("33.20", price) for row in (CART.replace(",cart,", ",view,"), CART, ORDER)]
    raws = [item.raw for item in items_of(write_log(tmp_path, *rows)) if isinstance(item, SourceMessage)]
    assert [raw.count(f":{price},".encode()) for raw in raws] == [1, 1, 2]


def test_exact_copies_share_their_id_and_others_do_not(tmp_path: Path) -> None:
    log = write_log(tmp_path, VIEW, CART, VIEW, REMOVAL)
    ids = [decoded(item)["messageId"] for item in items_of(log) if isinstance(item, SourceMessage)]
    assert ids[0] == ids[2]
    assert len(set(ids)) == 3


def test_id_does_not_depend_on_line_ends_or_compression(tmp_path: Path) -> None:
    plain = write_log(tmp_path, VIEW, CART)
    packed = write_log(tmp_path, VIEW, CART, name="events.csv.gz")
    windows = tmp_path / "windows.csv"
    windows.write_bytes(b"\xef\xbb\xbf" + plain.read_bytes().replace(b"\n", b"\r\n"))
    assert items_of(plain) == items_of(packed) == items_of(windows)
    assert len(items_of(plain)) == 2


def test_text_is_escaped_and_quoted_fields_are_read(tmp_path: Path) -> None:
    message = only_message(write_log(tmp_path, VIEW.replace("shiseido", '"l\'or, ""été"" \\"')))
    assert message["properties"]["brand"] == 'l\'or, "été" \\'


@pytest.mark.parametrize("length", range(1, len(VIEW)))
def test_cut_last_line_is_one_bad_row(tmp_path: Path, length: int) -> None:
    first, last = items_of(write_log(tmp_path, CART, VIEW[:length], end=""))
    assert isinstance(first, SourceMessage)
    assert isinstance(last, BadRow)
    assert last.line_number == 3


def test_last_line_without_its_newline_is_whole(tmp_path: Path) -> None:
    assert items_of(write_log(tmp_path, CART, VIEW, end="")) == items_of(write_log(tmp_path, CART, VIEW))


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("", "1 columns"),
        (VIEW + ",x", "10 columns"),
        (VIEW.replace(",view,", ",wishlist,"), "event_type"),
        (VIEW.replace("35.79", "free"), "price"),
        (VIEW.replace("35.79", ""), "price"),
        (VIEW.replace("35.79", "1e3"), "price"),
        (VIEW.replace("35.79", "NaN"), "price"),
        (VIEW.replace("35.79", "007"), "price"),
        (VIEW.replace("35.79", "\u0663.50"), "price"),
        (VIEW.replace("2019-10-01 00:00:00 UTC", "yesterday"), "event_time"),
        (VIEW.replace("2019-10-01", "2019-02-30"), "event_time"),
        (VIEW.replace("44600062", ""), "product_id is empty"),
        (VIEW.replace("541312140", ""), "user_id is empty"),
        (VIEW.replace(SESSION, "nonsense"), "user_session"),
        (VIEW.replace("shiseido", '"shiseido'), "quoted"),
        ("x" * (LONGEST_LINE_BYTES * 2 + 5), "longer than"),
    ],
)
def test_bad_row_is_an_item_and_the_next_row_is_read(tmp_path: Path, row: str, reason: str) -> None:
    bad, good = items_of(write_log(tmp_path, row, CART))
    assert isinstance(bad, BadRow)
    assert bad.line_number == 2
    assert reason in bad.reason
    assert isinstance(good, SourceMessage)


def test_bytes_that_are_not_utf8_are_a_bad_row(tmp_path: Path) -> None:
    log = write_log(tmp_path, VIEW)
    log.write_bytes(log.read_bytes().replace(b"shiseido", b"\xff\xfe"))
    assert items_of(log) == [BadRow(2, "not UTF-8 text")]


def test_row_without_session_counts_by_user_and_not_by_session(tmp_path: Path) -> None:
    log = write_log(tmp_path, VIEW.replace(SESSION, ""))
    assert only_message(log)["anonymousId"] == "541312140"
    assert items_of(log, "user_session") == [BadRow(2, "user_session is empty")]


def test_gzip_that_breaks_off_ends_in_a_bad_row(tmp_path: Path) -> None:
    rows = [VIEW.replace("44600062", str(number * 7919)) for number in range(3_000)]
    log = write_log(tmp_path, *rows, name="events.csv.gz")
    log.write_bytes(log.read_bytes()[:-2_000])
    *messages, last = items_of(log)
    assert messages
    assert all(isinstance(item, SourceMessage) for item in messages)
    assert isinstance(last, BadRow)
    assert "breaks off" in last.reason


def test_unreadable_files_are_typed_errors_with_a_remedy(tmp_path: Path) -> None:
    other = tmp_path / "other.csv"
    other.write_text("a,b\n1,2\n")
    empty = tmp_path / "empty.csv"
    empty.touch()
    packed = tmp_path / "not.csv.gz"
    packed.write_text(HEADER)
    for path in (other, empty, packed, tmp_path):
        with pytest.raises(ReplayFileUnreadable) as caught:
            items_of(path)
        assert caught.value.remedy


def test_missing_file_is_a_typed_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(ReplayFileMissing, match=r"nowhere\.csv") as caught:
        open_source(f"rees46:{tmp_path / 'nowhere.csv'}")
    assert isinstance(caught.value, TidemarkError)
    assert caught.value.remedy


@pytest.mark.parametrize("name", ["events.csv", "events.csv.gz"])
def test_estimate_is_exact_for_small_files(tmp_path: Path, name: str) -> None:
    assert estimate_rees46(write_log(tmp_path, VIEW, CART, name=name)) == 2
    assert estimate_rees46(write_log(tmp_path, VIEW, CART, end="", name=name)) == 2
    assert estimate_rees46(write_log(tmp_path, name=name)) == 0


def test_source_of_a_log_can_be_replayed_twice(tmp_path: Path) -> None:
    log = write_log(tmp_path, VIEW, CART, name="odd?name.csv")
    source = open_source(f"rees46:{log}", visitor="user_session")
    assert isinstance(source, Rees46Source)
    assert (source.total, source.truth, source.visitor) == (2, None, "user_session")
    assert list(source.messages()) == list(source.messages())


def test_simulator_source_reads_its_options() -> None:
    source = open_source("sim:visitors=50,days=1,seed=3,copy_rate=0.5,start=2025-03-01", seed=4)
    assert isinstance(source, SimulatorSource)
    config = source.config
    assert (config.visitors, config.days, config.seed, config.copy_rate) == (50, 1, 4, 0.5)
    assert config.start == datetime(2025, 3, 1, tzinfo=UTC)
    first, again = list(source.messages()), list(source.messages())
    assert first == again
    assert source.total
    assert source.truth
    assert source.truth.counters.message_count == len(first)


@pytest.mark.parametrize("spec", ["", "kafka", "rees47:x.csv", "logs/events.csv"])
def test_unknown_source_names_those_that_exist(spec: str) -> None:
    with pytest.raises(SourceUnknown) as caught:
        open_source(spec)
    assert "rees46:PATH" in caught.value.remedy


@pytest.mark.parametrize(
    "spec",
    [
        "sim:cats=3",
        "sim:visitors",
        "sim:visitors=many",
        "sim:visitors=0",
        "sim:copy_rate=2",
        "sim:start=soon",
        "sim:visitors=5,events_target=5",
        "rees46:LOG?visitor=brand",
        "rees46:LOG?order=id",
    ],
)
def test_wrong_option_is_a_typed_error(tmp_path: Path, spec: str) -> None:
    with pytest.raises(SourceOptionInvalid) as caught:
        open_source(spec.replace("LOG", str(write_log(tmp_path, VIEW))))
    assert caught.value.remedy
