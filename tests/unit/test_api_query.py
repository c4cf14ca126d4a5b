"""The HTTP API over a small real installation."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import httpx
import pytest

import serving
from serving.api.app import create_app
from tests.unit.api_client import running
from tests.unit.installation import PARTITIONS, START, Installation, event, shop


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    made = Installation(tmp_path_factory.mktemp("api"))
    bought = {"order_id": "o1", "value_minor": 5}
    first = [event(0, START, "w1", product_id="p'1"), event(1, START, "w1", "cart", product_id="p2", brand="null")]
    made.record([*first, event(2, START, "w1", "purchase", **bought)])
    made.seal("r1")
    made.publish("r1")
    made.record(shop(4, 80))
    yield made
    made.close()


@pytest.fixture(scope="module")
def client(installation: Installation) -> Iterator[httpx.Client]:
    with serving.connect(installation.settings) as tm, running(create_app(installation.settings, tm)) as client:
        yield client


def rows(client: httpx.Client, path: str, **parameters: Any) -> list[dict[str, Any]]:
    answer = client.get(f"/v1/query/{path}", params=parameters)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["rows"]
    return found


def problem(client: httpx.Client, path: str, status: int, **parameters: Any) -> dict[str, Any]:
    answer = client.get(path, params=parameters)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = answer.json()
    assert found["remedy"]
    assert found["status"] == status
    assert found["as_of"]["run_id"] == "r1"
    return found


def test_the_views_are_described_in_full(client: httpx.Client) -> None:
    answer = client.get("/v1/views").json()
    views = {v["name"]: v for v in answer["views"]}
    assert list(views) == list(serving.client.VIEWS)
    for view in views.values():
        assert view["description"]
        for column in view["columns"]:
            assert column["description"], (view["name"], column["name"])
    visitors = next(c for c in views["traffic"]["columns"] if c["name"] == "visitors")
    assert (visitors["type"], visitors["summable"]) == ("BIGINT", False)
    assert views["traffic"]["time"] == "minute"
    assert answer["as_of"]["run_id"] == "r1"


def test_every_view_answers(client: httpx.Client, installation: Installation) -> None:
    for view in serving.client.VIEWS:
        answer = client.get(f"/v1/query/{view}").json()
        assert answer["as_of"]["offsets"] == {str(p): installation.ends[p] for p in range(PARTITIONS)}
        assert all(list(row) == [c["name"] for c in answer["columns"]] for row in answer["rows"])
        assert answer["is_truncated"] is False
    assert sum(r["events"] for r in rows(client, "traffic")) == 83


def _ticks(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()


def test_times_are_iso_with_z_and_filters_half_open(client: httpx.Client) -> None:
    every = [r["minute"] for r in rows(client, "traffic", columns="minute")]
    assert every == sorted(every)
    assert every[0].endswith("Z")
    first, last = every[2], every[5]
    assert [r["minute"] for r in rows(client, "traffic", **{"from": first, "to": last})] == every[2:5]
    offset = first.replace("Z", "+00:00")
    assert [r["minute"] for r in rows(client, "traffic", **{"from": offset, "to": last.removesuffix("Z")})] == every[
        2:5
    ]
    assert rows(client, "traffic", minute=first, columns="minute") == [{"minute": first}]


def test_equality_filters_bind_their_values(client: httpx.Client) -> None:
    assert {r["product_id"] for r in rows(client, "products", product_id="p'1")} == {"p'1"}
    assert rows(client, "products", product_id="' OR 1=1 --") == []
    both = {r["product_id"] for r in rows(client, "products", product_id=["p'1", "p2"])}
    assert both == {"p'1", "p2"}
    assert {r["brand"] for r in rows(client, "brands", brand="")} == {None}
    assert {r["brand"] for r in rows(client, "brands", brand=["", "null"])} == {None, "null"}
    assert {r["purchases"] for r in rows(client, "sessions", purchases="1")} == {1}
    assert rows(client, "sessions", is_truncated="true") == []
    assert rows(client, "quality", partition="0", status="good")[0]["partition"] == 0


def test_columns_order_and_limit(client: httpx.Client) -> None:
    top = rows(client, "products", columns="product_id,views", order_by="-views,product_id", limit=3)
    assert [list(r) for r in top] == [["product_id", "views"]] * 3
    assert [r["views"] for r in top] == sorted((r["views"] for r in top), reverse=True)
    answer = client.get("/v1/query/products?limit=3").json()
    assert (len(answer["rows"]), answer["is_truncated"]) == (3, True)
    assert rows(client, "products", limit=0) == []
    busiest, *_ = rows(client, "traffic", columns="minute", order_by="-events")
    assert (
        busiest["minute"] == max(rows(client, "traffic"), key=lambda r: (r["events"], -_ticks(r["minute"])))["minute"]
    )


def test_group_by_sums_exactly_and_keeps_currencies_apart(client: httpx.Client) -> None:
    plain = rows(client, "products")
    grouped = rows(client, "products", group_by="product_id", order_by="-views")
    assert {(r["product_id"], r["currency"]) for r in grouped} == {(r["product_id"], r["currency"]) for r in plain}
    assert len(grouped) == len({(r["product_id"], r["currency"]) for r in grouped})
    for name in ("views", "carts", "purchases", "units", "revenue_minor"):
        assert sum(r[name] for r in grouped) == sum(r[name] for r in plain)
        assert all(type(r[name]) is int for r in grouped)
    views = rows(client, "products", group_by="product_id", columns="views")
    assert [set(r) for r in views] == [{"product_id", "views"}] * len(views)
    assert [r["step"] for r in rows(client, "funnel", group_by="step_kind", order_by="step")] == [1, 2, 3]
    assert {r["role"] for r in rows(client, "session_edges", group_by="kind")} == {"entry", "exit"}


@pytest.mark.parametrize(
    ("path", "parameters", "columns"),
    [
        ("traffic", {"group_by": "is_estimate"}, "visitors"),
        ("traffic_day", {"group_by": "day"}, "visitors, buyers"),
        ("traffic", {"group_by": "minute", "columns": "events,visitors"}, "visitors"),
        ("products", {"group_by": "hour", "columns": "product_id"}, "product_id"),
    ],
)
def test_what_must_not_be_summed_is_refused(
    client: httpx.Client, path: str, parameters: dict[str, str], columns: str
) -> None:
    found = problem(client, f"/v1/query/{path}", 400, **parameters)
    assert found["type"] == "urn:tidemark:problem:not-summable"
    assert found["detail"].startswith(f"{columns} of {path}")
    assert "visitors" not in found["columns"]


def test_unknown_names_say_which_there_are(client: httpx.Client) -> None:
    found = problem(client, "/v1/query/trafic", 404)
    assert "traffic_day" in found["views"]
    for parameters in ({"nope": "1"}, {"columns": "events,nope"}, {"order_by": "nope"}, {"group_by": "nope"}):
        found = problem(client, "/v1/query/traffic", 400, **parameters)
        assert found["type"] == "urn:tidemark:problem:unknown-column"
        assert "minute" in found["columns"]
    problem(client, "/v1/query/products", 400, group_by="product_id", order_by="hour")
    problem(client, "/v1/query/products", 400, **{'views" = 1; DROP VIEW traffic; --': "1"})


@pytest.mark.parametrize(
    ("path", "parameters", "kind"),
    [
        ("traffic", {"from": "yesterday"}, "bad-value"),
        ("traffic", {"to": "2024-05-01 00:00:00 00:00"}, "bad-value"),
        ("traffic", {"from": "9999-12-31T23:59:59-23:00"}, "bad-value"),
        ("traffic", {"events": "many"}, "bad-value"),
        ("traffic", {"events": "9223372036854775808"}, "bad-value"),
        ("traffic", {"events": "\u0661"}, "bad-value"),
        ("traffic", {"is_estimate": "maybe"}, "bad-value"),
        ("quality", {"from": "2024-05-01"}, "bad-value"),
        ("quality", {"partition": "2147483648"}, "bad-value"),
        ("sessions", {"trail": "x"}, "bad-value"),
        ("sessions", {"order_by": "trail"}, "bad-value"),
        ("traffic", {"limit": "10001"}, "bad-limit"),
        ("traffic", {"limit": "-1"}, "bad-limit"),
        ("traffic", {"limit": "1e3"}, "bad-limit"),
        ("traffic", {"limit": "9" * 5000}, "bad-limit"),
    ],
)
def test_bad_values_are_said(client: httpx.Client, path: str, parameters: dict[str, str], kind: str) -> None:
    assert problem(client, f"/v1/query/{path}", 400, **parameters)["type"] == f"urn:tidemark:problem:{kind}"


def test_sql_is_answered_with_exact_integers(client: httpx.Client) -> None:
    query = "SELECT sum(events) AS n, ?::BIGINT AS given FROM traffic"
    answer = client.post("/v1/sql", json={"query": query, "parameters": [5]}).json()
    assert answer["rows"] == [{"n": 83, "given": 5}]
    assert [c["type"] for c in answer["columns"]] == ["integer", "integer"]
    assert answer["as_of"]["run_id"] == "r1"
    many = client.post("/v1/sql", json={"query": "FROM range(20000)"}).json()
    assert (len(many["rows"]), many["is_truncated"]) == (10_000, True)


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"[]", b"not json", b'{"query": 1}', b'{"query": "SELECT 1", "parameters": {}}', b"[" * 50_000],
)
def test_a_body_that_is_no_query_is_refused(client: httpx.Client, body: bytes) -> None:
    answer = client.post("/v1/sql", content=body)
    assert (answer.status_code, answer.json()["type"]) == (400, "urn:tidemark:problem:bad-body")


def test_sql_that_is_refused_says_why(client: httpx.Client) -> None:
    for query in ("DROP VIEW traffic", "SELECT * FROM read_text('/etc/passwd')", "SELECT ?"):
        answer = client.post("/v1/sql", json={"query": query})
        assert (answer.status_code, answer.json()["type"]) == (400, "urn:tidemark:problem:query-refused")
        assert answer.json()["as_of"]["run_id"] == "r1"
    assert client.post("/v1/sql", content=b" " * 100_001).status_code == 413
    huge = client.post("/v1/sql", json={"query": "SELECT repeat('x', 100000000) AS x"})
    assert (huge.status_code, huge.json()["type"]) == (400, "urn:tidemark:problem:too-large")


def test_a_query_that_takes_too_long_is_504(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.api.app.TIMEOUT_SECONDS", 0.2)
    slow = "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range + b.range = 3"
    answer = client.post("/v1/sql", json={"query": slow})
    assert (answer.status_code, answer.json()["type"]) == (504, "urn:tidemark:problem:query-timeout")


def test_unknown_endpoints_and_methods(client: httpx.Client) -> None:
    assert problem(client, "/nope", 404)["type"] == "urn:tidemark:problem:endpoint-unknown"
    assert problem(client, "/v1/sql", 405)["type"] == "urn:tidemark:problem:method-not-allowed"
    assert client.get("/v1/openapi.json").json()["info"]["title"] == "Tidemark"


def test_metrics_count_by_endpoint_never_by_words(client: httpx.Client) -> None:
    client.get("/v1/query/traffic?product_id=secret-words")
    client.get("/secret-words")
    client.get("/v1/query/traffic")
    text = client.get("/metrics").text
    assert 'tidemark_api_requests_total{endpoint="/v1/query/{view}",status="200"}' in text
    assert 'tidemark_api_request_seconds_bucket{endpoint="/v1/query/{view}"' in text
    assert 'endpoint="unknown",status="404"' in text
    assert "secret-words" not in text
    figures = dict(line.rsplit(" ", 1) for line in text.splitlines() if line.startswith("tidemark_api_"))
    assert float(figures["tidemark_api_as_of_batch"]) == 1
    assert float(figures["tidemark_api_speed_rows"]) > 0
    assert float(figures["tidemark_api_seconds_behind"]) > 0
    assert float(figures["tidemark_api_published_run_age_seconds"]) > 0


def test_bots_can_be_left_out(client: httpx.Client) -> None:
    everything, humans = rows(client, "traffic"), rows(client, "traffic", bots="without")
    assert rows(client, "traffic", bots="with") == everything
    assert 0 < sum(r["events"] for r in humans) < sum(r["events"] for r in everything)
    assert [list(r) for r in humans[:1]] == [list(r) for r in everything[:1]]
    answer = client.get("/v1/query/traffic", params={"bots": "none"})
    assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (400, "bad-value")
