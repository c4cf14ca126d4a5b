"""`tidemark batch ...`: the steps of the nightly run, one command each; the cut is an argument, never "now"."""

from __future__ import annotations

import os
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer

from contracts.settings import Settings
from infra import show
from infra.show import Json

batch = typer.Typer(no_args_is_help=True, help="The steps of the nightly run, one by one.")
RunId = Annotated[str, typer.Option("--run-id", help="Name of the run.")]


def _settings() -> Settings:
    return Settings.from_env(os.environ)


def _say(line: str) -> None:
    show.err.print(line, highlight=False)


@batch.command()
def seal(run_id: RunId = "", as_json: Json = False) -> None:
    """Record a cut: everything below it belongs to the run. Sealing the same run again gives the same cut."""
    from infra.nightly import new_run_id
    from spark_jobs.jobs.seal import seal as seal_run
    from speed_layer.store import open_store

    chosen, now = _settings(), datetime.now(UTC)
    cut = seal_run(chosen, open_store(chosen.store), run_id or new_run_id(now), now, waiting=_say)
    show.as_json(asdict(cut)) if as_json else show.out.print(show.pairs("Sealed", asdict(cut)))


@batch.command()
def silver(run_id: RunId, as_json: Json = False) -> None:
    """Build silver of a sealed run, and account for every record."""
    from infra.nightly import spark
    from spark_jobs.jobs.silver import build_silver

    chosen = _settings()
    build_silver(spark(chosen, "tidemark-silver"), chosen, run_id)
    _tables(chosen, run_id, as_json)


@batch.command()
def gold(
    run_id: RunId,
    table: Annotated[list[str] | None, typer.Option(help="Only these tables; entities before what derives.")] = None,
    as_json: Json = False,
) -> None:
    """Build gold of a run whose silver is built."""
    from infra.nightly import spark
    from spark_jobs.jobs.gold import build_gold

    chosen = _settings()
    build_gold(spark(chosen, "tidemark-gold"), chosen, run_id, tuple(table or ()), _say)
    _tables(chosen, run_id, as_json)


@batch.command()
def reports(run_id: RunId, as_json: Json = False) -> None:
    """Build the reports of a run whose gold is built: data quality, and the past days that it restates."""
    from infra.nightly import spark
    from spark_jobs.jobs.report import build_reports
    from speed_layer.store import open_store

    chosen = _settings()
    build_reports(spark(chosen, "tidemark-reports"), chosen, open_store(chosen.store), run_id)
    _tables(chosen, run_id, as_json)


@batch.command()
def verify(run_id: RunId, as_json: Json = False) -> None:
    """Hold a built run against the independent oracle. Empty means exact."""
    from serving.verify import verify_run

    found = verify_run(_settings(), run_id, _say)
    if as_json:
        show.as_json({"exact": not found, "differences": found})
    else:
        show.out.print(found or "[green]exact[/green]")
    raise typer.Exit(1 if found else 0)


@batch.command()
def publish(run_id: RunId, as_json: Json = False) -> None:
    """Write a verified run's manifest and point answers at it."""
    from spark_jobs.jobs.publish import publish as publish_run
    from speed_layer.store import open_store

    chosen = _settings()
    run = publish_run(chosen, open_store(chosen.store), run_id, datetime.now(UTC))
    show.as_json(asdict(run)) if as_json else show.out.print(show.pairs("Published", asdict(run)))


def _tables(settings: Settings, run_id: str, as_json: bool) -> None:
    from speed_layer.store.runs import Runs

    tables = Runs(settings).tables(run_id)
    rows = [(name, t["version"], t["rows"]) for name, t in sorted(tables.items())]
    show.as_json(tables) if as_json else show.out.print(show.columns("Built", ["table", "version", "rows"], rows))
