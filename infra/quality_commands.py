"""`tidemark quality` and `tidemark restatements`: what arrived in what state, and which past days changed."""

from __future__ import annotations

import os
from enum import StrEnum
from typing import Annotated, Any

import typer

from contracts.reports import DATA_QUALITY
from contracts.settings import Settings
from infra import show
from infra.show import Json

_COUNTS = [name for name in DATA_QUALITY.schema.names if name not in DATA_QUALITY.keys]
# What a share is of: a count of events stands beside `good`, the others beside `records`.
_OF_RECORDS = ("good", "duplicates", "rejected", "no_consent")
_LATENESS = ("on_time", "late_minutes", "late_hours", "late_days", "lateness_unknown")


class Grain(StrEnum):
    """What a row of the report stands for."""

    ALL = "all"
    SENDER = "sender"
    HOUR = "hour"
    DAY = "day"


def quality(
    by: Annotated[Grain, typer.Option(help="One report for all, or one a sender, hour or day of arrival.")] = Grain.ALL,
    hours: Annotated[int, typer.Option(help="Only the last hours that are in the report; 0 is all.")] = 0,
    as_json: Json = False,
) -> None:
    """Completeness, validity, duplicates, lateness and bots of what arrived, as of the last published run."""
    import serving

    key = {Grain.ALL: "", Grain.DAY: "date_trunc('day', hour)::TIMESTAMP AS day"}.get(by, str(by))
    since = f" WHERE hour > (SELECT max(hour) FROM data_quality) - INTERVAL {hours} HOUR" if hours > 0 else ""
    sums = ", ".join(f"coalesce(sum({name}), 0)::BIGINT AS {name}" for name in _COUNTS)
    sql = f"SELECT {key + ', ' if key else ''}{sums} FROM data_quality{since}"
    with serving.connect(Settings.from_env(os.environ)) as tm:
        rows = tm.sql(sql + (" GROUP BY ALL ORDER BY ALL" if key else "")).to_pylist()
        reasons = tm.sql(
            "SELECT reason, sum(rows)::BIGINT AS rows FROM quality WHERE reason <> '' GROUP BY ALL ORDER BY 2 DESC"
        )
        as_of = tm.as_of.to_json()
    report = {
        "as_of": {name: as_of[name] for name in ("run_id", "batch_through")},
        "rows": rows,
        "rejected_by_reason": {row["reason"]: row["rows"] for row in reasons.to_pylist()},
    }
    if as_json:
        show.as_json(report)
        return
    if as_of["run_id"] is None:
        show.out.print("No run is published yet: `tidemark nightly` writes the report.")
        return
    show.out.print(f"As of run {as_of['run_id']}, sealed {as_of['batch_through']}")
    for row in rows:
        title = " ".join(str(row[name]) for name in row if name not in _COUNTS) or "Everything"
        show.out.print(show.columns(title, ["what", "count", "share"], _shares(row)))
    if report["rejected_by_reason"]:
        show.out.print(
            show.columns("Rejected, live included", ["reason", "records"], list(report["rejected_by_reason"].items()))
        )


def restatements(as_json: Json = False) -> None:
    """Which past days nightly runs changed, by how much: what late events and repairs did."""
    import serving

    with serving.connect(Settings.from_env(os.environ)) as tm:
        rows = tm.sql("SELECT * FROM restatements ORDER BY run_id DESC, day, measure, currency")
    if as_json:
        show.as_json(rows.to_pylist())
    elif rows.num_rows:
        show.out.print(show.rows_table(rows, "Restated days"))
    else:
        show.out.print("No published run has changed a past day.")


def _shares(row: dict[str, Any]) -> list[list[Any]]:
    shown = []
    for name in _COUNTS:
        whole = row["records"] if name == "records" or name in _OF_RECORDS else row["good"]
        if row[name] or name in _LATENESS:
            shown.append([name, row[name], f"{row[name] / whole:.1%}" if whole else ""])
    return shown
