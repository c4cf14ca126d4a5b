"""What SQL is answered, what is refused, and in which form answers come."""

from __future__ import annotations

import datetime as dt
import json
import time
from collections.abc import Iterator
from decimal import Decimal

import pyarrow as pa
import pytest

import serving
from contracts.errors import QueryRefused, QueryTimeout
from serving import Tidemark
from serving.rows import dumps, kind_of, to_rows
from tests.unit.installation import Installation, shop

REFUSED = (
    # files and the network
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM read_blob('/etc/passwd')",
    "SELECT * FROM read_json('/etc/passwd')",
    "SELECT * FROM read_parquet('https://example.org/x.parquet')",
    "SELECT * FROM read_duckdb('/tmp/x.db')",
    "SELECT * FROM sniff_csv('/etc/passwd')",
    "SELECT * FROM glob('/etc/*')",
    "SELECT * FROM '/etc/passwd'",
    "SELECT * FROM 'data.parquet'",
    "SELECT (SELECT content FROM read_text('/etc/passwd'))",
    "SELECT * FROM traffic WHERE EXISTS (FROM system.main.read_text('/etc/passwd'))",
    "WITH x AS (FROM read_text('/etc/passwd')) SELECT * FROM x",
    "SELECT * FROM traffic UNION ALL SELECT * FROM glob('*')",
    "COPY traffic TO '/tmp/out.csv'",
    "COPY (SELECT 1) TO '/tmp/out.csv'",
    "EXPORT DATABASE '/tmp/out'",
    "ATTACH '/tmp/other.db' AS other",
    "INSTALL httpfs",
    "LOAD httpfs",
    "IMPORT DATABASE '/tmp/out'",
    # writing
    "INSERT INTO base_quality SELECT * FROM base_quality",
    "DELETE FROM base_quality",
    "UPDATE base_quality SET rows = 0",
    "DROP VIEW traffic",
    "CREATE TABLE x AS SELECT 1",
    "CREATE OR REPLACE VIEW traffic AS SELECT 1",
    "ALTER TABLE base_quality ADD COLUMN x INT",
    "TRUNCATE base_quality",
    "WITH x AS (INSERT INTO base_quality SELECT * FROM base_quality RETURNING rows) SELECT * FROM x",
    "WITH x AS (DELETE FROM base_quality RETURNING rows) SELECT * FROM x",
    "WITH x AS (UPDATE base_quality SET rows = 0 RETURNING rows) SELECT * FROM x",
    "SELECT * FROM traffic; DROP VIEW traffic",
    "SELECT 1; SELECT 2",
    "BEGIN",
    "COMMIT",
    "CHECKPOINT",
    "VACUUM",
    # settings, the process, DuckDB's own insides
    "SET threads = 1",
    "RESET threads",
    "PRAGMA database_list",
    "CALL pragma_version()",
    "USE memory",
    "SHOW TABLES",
    "FROM (SHOW DATABASES)",
    "SELECT * FROM duckdb_settings()",
    "SELECT * FROM duckdb_secrets()",
    "SELECT * FROM duckdb_extensions()",
    "SELECT * FROM duckdb_logs()",
    "SELECT * FROM duckdb_tables",
    "SELECT * FROM sqlite_master",
    "SELECT * FROM pg_catalog.pg_settings",
    "SELECT * FROM pg_settings",
    "SELECT * FROM information_schema.tables",
    "WITH pg_settings AS (SELECT * FROM pg_settings) SELECT * FROM pg_settings",
    "SELECT * FROM (WITH pg_settings AS (SELECT 1) FROM pg_settings) a, pg_settings b",
    "SELECT current_setting('temp_directory')",
    "SELECT getenv('HOME')",
    "SELECT getvariable('x')",
    "SELECT write_log('x')",
    "SELECT sleep_ms(100000)",
    "SELECT pg_sleep(100)",
    "SELECT * FROM query('SELECT 1')",
    "SELECT * FROM query_table('base_quality')",
    "SELECT * FROM json_execute_serialized_sql('{}')",
    "SELECT * FROM force_checkpoint()",
    "SELECT * FROM enable_logging()",
    # these take addresses in memory
    "SELECT * FROM arrow_scan(1, 2, 3)",
    "SELECT * FROM arrow_scan_dumb(1, 2, 3)",
    "SELECT * FROM pandas_scan(1)",
    "SELECT * FROM python_map_function(1)",
    # things of this Python process
    "SELECT * FROM secret_table",
    "SELECT * FROM given",
    # what is no query at all
    "EXPLAIN SELECT 1",
    "EXPLAIN ANALYZE DELETE FROM base_quality",
    "PREPARE x AS SELECT 1",
    "EXECUTE x",
    "SELEC 1",
    "",
    "-- nothing",
    "SELECT no_such_column FROM traffic",
    "SELECT * FROM no_such_view",
    "SELECT " + "(" * 3000 + "1" + ")" * 3000,
    "SELECT " + " + ".join(["1"] * 3000),
    "SELECT '\x00'; DROP VIEW traffic",
)
ANSWERED = (
    "SELECT * FROM traffic",
    "from traffic_day;",
    "SELECT * FROM main.traffic -- a comment",
    "DESCRIBE traffic",
    "SUMMARIZE session_stats",
    "VALUES (1), (2)",
    "TABLE quality",
    "SELECT * FROM base_quality UNION ALL FROM touched_quality",
    "WITH x AS (SELECT 1 AS a), y AS (FROM x) SELECT * FROM y JOIN x USING (a)",
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5) SELECT * FROM n",
    "SELECT unnest(trail) FROM sessions",
    "SELECT s.visitor, e.kind FROM sessions s, unnest(s.trail) AS t(e)",
    "SELECT * FROM generate_series(1, 3)",
    "SELECT * FROM range(3)",
    "PIVOT funnel ON step IN (1, 2, 3) USING sum(sessions)",
    "SELECT kind, count(*) FILTER (WHERE role = 'exit') OVER (PARTITION BY kind) FROM session_edges QUALIFY true",
    "SELECT * FROM traffic_hour t ASOF JOIN session_stats s ON t.hour >= s.hour",
    "SELECT list_transform([1, 2], lambda x: x + 1), regexp_extract('a', '.'), strftime(now(), '%Y')",
)


@pytest.fixture(scope="module")
def tm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tidemark]:
    installation = Installation(tmp_path_factory.mktemp("sql"))
    installation.record(shop(1, 120))
    with serving.connect(installation.settings) as views:
        yield views
    installation.close()


@pytest.mark.parametrize("query", REFUSED, ids=lambda q: q[:70])
def test_refused_and_nothing_leaks(tm: Tidemark, query: str) -> None:
    secret_table = pa.table({"secret": [1]})
    with pytest.raises(QueryRefused) as refused:
        tm.sql(query)
    said = f"{refused.value} {refused.value.remedy}"
    assert refused.value.remedy
    assert "root:" not in said
    assert "secret" not in said.replace("secret_table", "").replace("duckdb_secrets", "")
    assert secret_table.num_rows == 1


@pytest.mark.parametrize("query", ANSWERED)
def test_answered(tm: Tidemark, query: str) -> None:
    assert tm.sql(query).num_columns
    assert tm.sql(query).num_columns


def test_nothing_that_was_refused_left_a_trace(tm: Tidemark) -> None:
    before = tm.sql("SELECT sum(rows)::BIGINT AS n FROM quality").to_pylist()
    for query in REFUSED:
        with pytest.raises(QueryRefused):
            tm.sql(query)
    assert before == tm.sql("SELECT sum(rows)::BIGINT AS n FROM quality").to_pylist() == [{"n": 120}]


def test_values_are_bound(tm: Tidemark) -> None:
    found = tm.sql("SELECT ? AS text, ? AS number", ["'; DROP VIEW traffic; --", 7]).to_pylist()
    assert found == [{"text": "'; DROP VIEW traffic; --", "number": 7}]


def test_a_query_that_takes_too_long_is_stopped_and_the_next_is_answered(tm: Tidemark) -> None:
    began = time.monotonic()
    with pytest.raises(QueryTimeout, match=r"0\.3 s") as stopped:
        tm.answer(
            "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range + b.range = 3", timeout_seconds=0.3
        )
    assert time.monotonic() - began < 20
    assert stopped.value.remedy
    assert tm.sql("SELECT 1 AS one").to_pylist() == [{"one": 1}]


def test_the_first_rows_can_be_asked_for(tm: Tidemark) -> None:
    assert tm.answer("SELECT * FROM range(100) ORDER BY 1 DESC", most_rows=2)[0].to_pydict() == {"range": [99, 98]}


def test_sums_of_integers_are_exact_integers(tm: Tidemark) -> None:
    table = tm.sql("SELECT sum(events) AS n, sum(9007199254740993::BIGINT) AS big, avg(events) AS mean FROM traffic")
    (row,) = to_rows(table)
    assert (type(row["n"]), row["n"]) == (int, 120)
    minutes = tm.sql("FROM traffic").num_rows
    assert row["big"] == 9007199254740993 * minutes
    assert json.loads(dumps(row))["big"] == 9007199254740993 * minutes
    assert [kind_of(t) for t in table.schema.types] == ["integer", "integer", "number"]


def test_every_type_becomes_what_json_knows() -> None:
    moment = dt.datetime(2024, 5, 1, 12, 0, 0, 250)  # noqa: DTZ001 - naive is UTC inside the algebra
    table = pa.table(
        {
            "whole": pa.array([2**63 - 1, None]),
            "huge": pa.array([Decimal(2**100), None], pa.decimal128(38, 0)),
            "part": pa.array([Decimal("1.50"), Decimal("2.00")]),
            "real": [float("nan"), 0.5],
            "truth": [True, None],
            "at": pa.array([moment, None], pa.timestamp("us")),
            "zoned": pa.array([moment.replace(tzinfo=dt.UTC), None], pa.timestamp("us", "UTC")),
            "day": [dt.date(2024, 5, 1), None],
            "nested": [[{"at": moment, "n": Decimal(3)}], None],
            "bytes": [b"\xff", None],
        }
    )
    first, second = to_rows(table)
    assert first == {
        "whole": 2**63 - 1,
        "huge": 2**100,
        "part": 1.5,
        "real": None,
        "truth": True,
        "at": "2024-05-01T12:00:00.000250Z",
        "zoned": "2024-05-01T12:00:00.000250Z",
        "day": "2024-05-01",
        "nested": [{"at": "2024-05-01T12:00:00.000250Z", "n": 3}],
        "bytes": "ff",
    }
    assert (type(second["part"]), second["part"], second["real"]) == (int, 2, 0.5)
    assert all(second[name] is None for name in ("whole", "huge", "truth", "at", "zoned", "day", "nested", "bytes"))
    assert json.loads(dumps([first, second])) == [first, second]


def test_names_that_stand_twice_and_times_out_of_range(tm: Tidemark) -> None:
    (row,) = to_rows(tm.sql("SELECT 1 AS a, 2 AS a, 'infinity'::TIMESTAMP AS t, INTERVAL 1 DAY AS i, uuid() AS u"))
    assert (row["a"], row["a_1"]) == (1, 2)
    assert isinstance(row["t"], str | int)
    assert dumps(row)
