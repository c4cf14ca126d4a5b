"""`tidemark catalog|costs|rates load FILE` and `show`: what answers join when they are read."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from contracts.dimensions import CAMPAIGN_COSTS, EXCHANGE_RATES, PRODUCTS, Dimension
from contracts.errors import DimensionInvalid
from contracts.settings import Settings
from infra import show
from infra.show import Json

catalog = typer.Typer(no_args_is_help=True, help="The product catalogue: categories, brands, names, list prices.")
costs = typer.Typer(no_args_is_help=True, help="What campaigns cost.")
rates = typer.Typer(no_args_is_help=True, help="Exchange rates to the reporting currency.")

File = Annotated[Path, typer.Argument(help="CSV, JSON Lines or Parquet.")]
Anew = Annotated[bool, typer.Option("--anew", help="Begin a new table where the one that was loaded is lost.")]
_MOST_ROWS = 50


@catalog.command("load")
def load_catalog(
    file: File,
    valid_from: Annotated[str, typer.Option(help="When the file began to hold, ISO 8601; now without one.")] = "",
    complete: Annotated[bool, typer.Option("--complete", help="Products it does not name end then.")] = False,
    anew: Anew = False,
    as_json: Json = False,
) -> None:
    """Load product_id, category, brand, list_price (and name, currency): a snapshot, or a history with valid_from.

    A snapshot closes versions that it changes and opens others; buckets before them keep what held then. Give the
    first load an early --valid-from: a product has no category before its first version.
    """
    from infra.dimensions.load import load_catalogue

    at = _moment(valid_from) if valid_from else None
    _load(
        lambda chosen, store, now: load_catalogue(chosen, store, file, at, now, is_complete=complete, anew=anew),
        as_json,
    )


@costs.command("load")
def load_costs(file: File, anew: Anew = False, as_json: Json = False) -> None:
    """Load day, channel, campaign, amount (and currency): rows of one day and campaign replace those loaded before."""
    from infra.dimensions.load import load_campaign_costs

    _load(lambda chosen, store, now: load_campaign_costs(chosen, store, file, now, anew=anew), as_json)


@rates.command("load")
def load_rates(file: File, anew: Anew = False, as_json: Json = False) -> None:
    """Load day, currency, rate (and reporting_currency): rate is what one unit is worth, as 0.0067 for JPY in USD."""
    from infra.dimensions.load import load_exchange_rates

    _load(lambda chosen, store, now: load_exchange_rates(chosen, store, file, now, anew=anew), as_json)


@catalog.command("show")
def show_catalog(
    product: Annotated[str, typer.Argument(help="A product's id; all without one.")] = "", as_json: Json = False
) -> None:
    """The versions of the catalogue that answers are read with."""
    _show(PRODUCTS, as_json, product)


@costs.command("show")
def show_costs(as_json: Json = False) -> None:
    """The costs that answers are read with."""
    _show(CAMPAIGN_COSTS, as_json)


@rates.command("show")
def show_rates(as_json: Json = False) -> None:
    """The rates that answers are read with."""
    _show(EXCHANGE_RATES, as_json)


def _moment(text: str) -> datetime:
    from infra.dimensions.rows import moment

    try:
        return moment(text)
    except ValueError as error:
        raise DimensionInvalid(f"{text!r} is no time", "Write it as 2024-05-31 or 2024-05-31T12:00:00Z.") from error


def _load(load: Callable[[Settings, Any, datetime], Any], as_json: bool) -> None:
    from speed_layer.store import open_store

    chosen, now = Settings.from_env(os.environ), datetime.now(UTC)
    with open_store(chosen.store) as store:
        done = load(chosen, store, now)
    result: dict[str, Any] = {**asdict(done), "unchanged": done.changed == 0}
    if as_json:
        show.as_json(result)
        return
    shown = {**result, "ignored_columns": ", ".join(done.ignored_columns) or None}
    show.out.print(show.pairs("Unchanged" if result["unchanged"] else "Loaded", shown))


def _show(dimension: Dimension, as_json: bool, product: str = "") -> None:
    import pyarrow.compute as pc

    from infra.dimensions.load import held_rows
    from speed_layer.store import open_store

    chosen = Settings.from_env(os.environ)
    with open_store(chosen.store, create=False) as store:
        rows = held_rows(chosen, store, dimension)
    rows = rows.sort_by([(key, "ascending") for key in dimension.keys])
    if product:
        rows = rows.filter(pc.equal(rows["product_id"], product))
    if as_json:
        show.as_json(rows.to_pylist())
    else:
        show.out.print(show.rows_table(rows, dimension.description, most=_MOST_ROWS))
