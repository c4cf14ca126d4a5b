"""Reports: gold tables that the nightly writes and that are answered as of the cut. Nothing live is added to them."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from contracts.fields import UTC


@dataclass(frozen=True, slots=True)
class Report:
    """One table. `keys` name a row; `time` is its time column."""

    name: str
    description: str
    keys: tuple[str, ...]
    time: str
    schema: pa.Schema

    @property
    def table(self) -> str:
        """Its name in the warehouse."""
        return f"gold.{self.name}"


_COUNTS = (
    *("records", "good", "duplicates", "rejected", "no_consent", "synthetic", "custom_events", "broken_contracts"),
    *("declared_bots", "clock_faults", "on_time", "late_minutes", "late_hours", "late_days", "lateness_unknown"),
    *("without_user", "without_device", "without_country", "without_product", "without_value"),
)
DATA_QUALITY = Report(
    "data_quality",
    "What arrived, by hour of arrival and sender: completeness, validity, duplicates, lateness, bots. As of the cut.",
    ("hour", "sender"),
    "hour",
    pa.schema([("hour", UTC), ("sender", pa.string()), *((name, pa.int64()) for name in _COUNTS)]),
)
RESTATEMENTS = Report(
    "restatements",
    "Past days that a nightly run changed, by how much: what late events and repairs did. As of the cut.",
    ("run_id", "day", "measure", "currency"),
    "day",
    pa.schema(
        [
            ("run_id", pa.string()),
            ("previous_run_id", pa.string()),
            ("day", UTC),
            ("measure", pa.string()),
            ("currency", pa.string()),
            ("before", pa.int64()),
            ("after", pa.int64()),
            ("change", pa.int64()),
        ],
    ),
)
REPORTS: dict[str, Report] = {report.name: report for report in (DATA_QUALITY, RESTATEMENTS)}
