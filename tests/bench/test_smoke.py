"""The benchmarks run, small: their figures are no assertion, that they come out is."""

from __future__ import annotations

import pytest

from infra.bench import run_bench


@pytest.mark.stack
def test_catch_up_gives_its_figures() -> None:
    figures = run_bench("catchup", {"events": "30000", "together": "0", "batch": "5000"})["figures"]
    assert figures["live"]["events_measured"] > 0
    assert figures["live"]["events_per_second"] > 0
    assert figures["live"]["cpu_seconds_per_million"] > 0
