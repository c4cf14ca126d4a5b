"""The oracle answers every golden case."""

from __future__ import annotations

from pathlib import Path

import pytest

from serving.oracle.oracle import Oracle
from tests.golden.case import case_folders, mismatches, read_case


@pytest.mark.parametrize("folder", case_folders(), ids=lambda folder: folder.name)
def test_oracle_answers_the_case(folder: Path) -> None:
    case = read_case(folder)
    oracle = Oracle(case.settings.rules)
    oracle.load(case.records)
    found = {name: mismatches(rows, oracle.table(name)) for name, rows in case.tables.items()}
    assert {name: rows for name, rows in found.items() if rows} == {}
