"""`tidemark geo ...`: the country database that addresses are looked up in."""

from __future__ import annotations

import os
from typing import Annotated, Any

import typer

from contracts.settings import Settings
from infra import show
from infra.show import Json

geo = typer.Typer(no_args_is_help=True, help="The country database: install one, see which is in use, look up.")
_NONE = {
    "path": None,
    "notice": "There is no country database: countries are null. `tidemark geo install` fetches one.",
}


@geo.command()
def install(
    version: Annotated[str, typer.Option(help="Version of the package; the tested one unless told.")] = "",
    as_json: Json = False,
) -> None:
    """Fetch an openly licensed country database (CC0) from the npm registry. Another database is another rule."""
    from infra.geo import VERSION
    from infra.geo import install as fetch

    found = fetch(Settings.from_env(os.environ), version or VERSION)
    _tell(
        found | {"next": "If this installation has data: `tidemark upgrade`, for another database is another rule."},
        as_json,
    )


@geo.command("show")
def show_in_use(as_json: Json = False) -> None:
    """Which database is in use, how old it is, and where it came from."""
    from infra.geo import in_use

    _tell(in_use(Settings.from_env(os.environ)) or _NONE, as_json)


@geo.command("look-up")
def look_up(
    addresses: Annotated[list[str], typer.Argument(help="IPv4 or IPv6 addresses.")],
    as_json: Json = False,
) -> None:
    """The country of addresses: as they are, and as the entrance cuts them (/24, /48)."""
    from contracts.addresses import cut_ip
    from spark_jobs.transforms.enrich.geo import Geo

    database = Geo(Settings.from_env(os.environ).geo_path or None)
    rows = [
        {"ip": ip, "country": database.place_of(ip).country, "country_of_cut": database.place_of(cut_ip(ip)).country}
        for ip in addresses
    ]
    if as_json:
        show.as_json(rows)
    else:
        show.out.print(show.columns("Countries", list(rows[0]), [list(row.values()) for row in rows]))


def _tell(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        show.as_json(found)
    else:
        show.out.print(show.pairs("Country database", found))
