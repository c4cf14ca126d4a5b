"""The rules of the house that no linter knows. Each check is shown to fail on a planted example."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from contracts.algebra import Algebra, connect
from contracts.fields import BRONZE, DESCRIPTIONS, EVENT
from contracts.reasons import EXPLANATIONS, Reason
from contracts.reports import REPORTS
from contracts.settings import Settings
from infra.local.paths import repo_root
from spark_jobs.transforms.batches import REJECTED, SILVER

# --- L0, purity: a result depends on the record, the code and the rules -------------------------------------------

PURE_CONTRACTS = (
    "algebra",
    "consent",
    "derived",
    "envelope",
    "fields",
    "kinds",
    "measures",
    "money",
    "names",
    "reasons",
)
# The clock, dice, files, the network, the environment, other threads.
BANNED_MODULES = frozenset(
    "aiohttp asyncio calendar confluent_kafka http httpx io locale multiprocessing os pathlib platform random requests"
    " secrets shutil socket sqlite3 subprocess sys tempfile threading time urllib uuid zoneinfo".split()
)
# `hash` differs from process to process; `fromtimestamp` and `astimezone` may take the machine's time zone.
BANNED_CALLS = frozenset("__import__ compile eval exec hash id input open print".split())
BANNED_METHODS = frozenset(
    "astimezone fromtimestamp getenv now read_bytes read_text today urandom utcnow uuid1 uuid4".split()
)
# An event without an id and without a time of its own cannot be named by what was said: the entrance gives it a name,
# which the record then carries.
ALLOWED = {
    "contracts/envelope.py": ["import uuid", ".uuid4()"],
    # Splitting a URL asks nobody.
    "spark_jobs/transforms/enrich/channel.py": ["import urllib.parse"],
    # It reads the locked tzdata package, never the machine's tables.
    "spark_jobs/transforms/enrich/zones.py": ["import zoneinfo"],
}


def impurities(source: str) -> list[str]:
    """What the code uses that may differ from one run to the next, in the order of its lines."""
    found: list[tuple[int, str]] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [(node.lineno, f"import {a.name}") for a in node.names if a.name.split(".")[0] in BANNED_MODULES]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in BANNED_MODULES:
            found.append((node.lineno, f"import {node.module}"))
        elif isinstance(node, ast.Attribute) and node.attr in BANNED_METHODS:
            found.append((node.lineno, f".{node.attr}()"))
        elif isinstance(node, ast.Name) and node.id in BANNED_CALLS:
            found.append((node.lineno, f"{node.id}()"))
    return [what for _, what in sorted(found)]


def pure_files() -> list[Path]:
    transforms = sorted((repo_root() / "spark_jobs/transforms").rglob("*.py"))
    return [*transforms, *(repo_root() / f"contracts/{name}.py" for name in PURE_CONTRACTS)]


@pytest.mark.parametrize("path", pure_files(), ids=lambda path: path.relative_to(repo_root()).as_posix())
def test_rule_code_is_pure(path: Path) -> None:
    assert impurities(path.read_text()) == ALLOWED.get(path.relative_to(repo_root()).as_posix(), [])


@pytest.mark.parametrize(
    ("planted", "found"),
    [
        ("from datetime import datetime\nat = datetime.now()", [".now()"]),
        ("import datetime as d\nday = d.date.today()", [".today()"]),
        ("import time\nat = time.time()", ["import time"]),
        ("from time import time as t\nt()", ["import time"]),
        ("from random import random", ["import random"]),
        ("import uuid\nname = uuid.uuid4()", ["import uuid", ".uuid4()"]),
        ("rows = open('x').read()", ["open()"]),
        ("import os\nhome = os.environ['HOME']", ["import os"]),
        ("import os.path", ["import os.path"]),
        ("def f():\n    import requests", ["import requests"]),
        ("from urllib.request import urlopen", ["import urllib.request"]),
        ("bucket = hash('a') % 4", ["hash()"]),
        ("at = when.astimezone()", [".astimezone()"]),
        ("import hashlib\nname = hashlib.md5(b'').hexdigest()", []),
    ],
)
def test_impure_code_is_found(planted: str, found: list[str]) -> None:
    assert impurities(planted) == found


IMPURE_SQL = re.compile(
    r"\b(now|today|random|setseed|uuid\w*|gen_random_uuid|nextval|getenv|version|glob|read_\w+|\w*_timestamp)\s*\("
    r"|\b(current|local)_?(date|time|timestamp|setting|user|schema)\w*\b"
    # Which row comes first is nobody's promise.
    r"|\b(first|last|any_value|arbitrary|string_agg|group_concat|listagg|rowid|row_number)\s*\(|\blimit\b|\bsample\b",
    re.IGNORECASE,
)


def declared_sql() -> Iterator[tuple[str, str]]:
    algebra = Algebra.of(Settings().rules)
    for measure in algebra.measures.values():
        yield f"{measure.name}.lift", measure.lift
        yield f"{measure.name}.combine", measure.combine
    for derived in algebra.derived.values():
        yield f"{derived.name}.sql", derived.sql


@pytest.mark.parametrize("sql", [pytest.param(sql, id=name) for name, sql in declared_sql()])
def test_declared_sql_is_pure(sql: str) -> None:
    assert [match.group() for match in IMPURE_SQL.finditer(sql)] == []


@pytest.mark.parametrize(
    "planted",
    [
        "SELECT now() AS at FROM events",
        "SELECT * FROM events WHERE event_time < CURRENT_TIMESTAMP",
        "SELECT current_date FROM events",
        "SELECT random() FROM events",
        "SELECT * FROM read_parquet('x')",
        "SELECT first(name) FROM events GROUP BY visitor",
        "SELECT any_value (name) FROM events",
        "SELECT * FROM events LIMIT 10",
    ],
)
def test_impure_sql_is_found(planted: str) -> None:
    assert IMPURE_SQL.search(planted)


# --- the dictionary of fields -------------------------------------------------------------------------------------


def schemas() -> dict[str, pa.Schema]:
    """The columns of every table, by name."""
    algebra = Algebra.of(Settings().rules)
    with connect() as con:
        gold = {name: algebra.empty(con, name).schema for name in [*algebra.measures, *algebra.derived]}
    gold |= {report.table: report.schema for report in REPORTS.values()}
    return gold | {"event": EVENT, "bronze": BRONZE, "silver": SILVER, "rejected": REJECTED}


def undescribed(tables: dict[str, pa.Schema]) -> list[str]:
    return [
        f"{name}.{column}" for name, schema in tables.items() for column in schema.names if column not in DESCRIPTIONS
    ]


def test_every_column_is_described() -> None:
    assert undescribed(schemas()) == []
    assert undescribed({"t": pa.schema([("log", pa.int32()), ("planted", pa.int32())])}) == ["t.planted"]
    assert all(text.strip() for text in DESCRIPTIONS.values())


def test_every_reason_is_explained() -> None:
    assert set(EXPLANATIONS) == set(Reason)
    assert all(text.endswith(".") for text in EXPLANATIONS.values())


# --- what no file may hold ----------------------------------------------------------------------------------------

# Written so that this file does not hold them itself.
MACHINE_PATH = re.compile("(?<![A-Za-z0-9_.*-])/(?:wo" + "rk|ro" + "ot|ho" + "me)/")
REGISTRY = re.compile(
    r"[a-z0-9.-]*(?:pypi|pythonhosted|npmjs|maven|ivy|conda|jfrog|artifact|nexus|crates|rubygems|ghcr|gcr|quay|docker)"
    r"[a-z0-9-]*(?:\.[a-z0-9-]+)*\.(?:org|com|io|net|dev|local|internal|lan|corp)\b",
    re.IGNORECASE,
)
# uv writes the default index and its file host into the lock; this file names them, and plants some.
NEEDED = {"uv.lock": {"pypi.org", "files.pythonhosted.org"}}
NEEDED["tests/unit/test_repo_rules.py"] = {*NEEDED["uv.lock"], "nexus.corp"}


def tracked_files() -> list[str]:
    """Every file that is in git, or would be by `git add`."""
    git = shutil.which("git")
    if git is None or not (repo_root() / ".git").exists():
        pytest.skip("not a git checkout: there is no list of the files that belong to it")
    listed = subprocess.run(
        [git, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=repo_root(),
        capture_output=True,
        check=True,
        text=True,
    )
    return [name for name in listed.stdout.split("\0") if name and (repo_root() / name).is_file()]


def leaks(name: str, text: str) -> list[str]:
    """Machine paths and registry hosts in a file's text that it has no need of."""
    hosts = {found.group().lower() for found in REGISTRY.finditer(text)} - NEEDED.get(name, set())
    return [*(found.group() for found in MACHINE_PATH.finditer(text)), *sorted(hosts)]


def test_no_file_names_this_machine_or_a_registry() -> None:
    found = {name: leaks(name, (repo_root() / name).read_text(errors="replace")) for name in tracked_files()}
    assert {name: what for name, what in found.items() if what} == {}


def test_leaks_are_found() -> None:
    work, host = "/wo" + "rk/main", "repo1.mav" + "en.org"
    assert leaks("a.py", f"path = '{work}/x'") == [work.removesuffix("main")]
    assert leaks("a.py", f"see https://{host}/maven2 for more") == [host]
    assert leaks("uv.lock", "https://files.pythonhosted.org/a https://pypi.org/simple") == []
    assert leaks("a.py", "https://PyPI." + "org/simple") == ["pypi." + "org"]
    assert leaks("uv.lock", "https://mirror.internal-" + "nexus.corp/simple") != []
    assert leaks("a.md", "from network/ or framework/x, apache kafka, docker compose, /v1/batch") == []
