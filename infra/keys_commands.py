"""`tidemark keys ...`: the rotatable keys that pseudonyms of direct attributes are made with."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Annotated

import typer

from contracts.errors import SettingInvalid
from contracts.settings import Settings
from infra import show
from infra.show import Json
from speed_layer import attribute_keys

keys = typer.Typer(
    no_args_is_help=True,
    help="Keys of the pseudonyms of direct attributes: names, addresses, contacts in fields nobody declared. "
    "The installation's secret, under which ids and fingerprints are made, is never rotated and not among them.",
)


@keys.command("list")
def list_keys(as_json: Json = False) -> None:
    """The keys by id, the newest last, without the keys themselves. The pseudonyms of key 1a2b3c4d are k1a2b3c4d_..."""
    home = Settings.from_env(os.environ).home
    present = attribute_keys.present_key(home)
    listed = [*attribute_keys.known_keys(home), *([] if present.made_at else [present])]
    rows = [
        {
            "id": one.id,
            "made_at": one.made_at or None,
            "source": attribute_keys.FILE_NAME if one.made_at else attribute_keys.VARIABLE,
            "is_present": one.id == present.id,
        }
        for one in listed
    ]
    if as_json:
        show.as_json(rows)
    else:
        header = ["id", "made at", "of", "present"]
        show.out.print(show.columns("Attribute keys", header, [list(row.values()) for row in rows]))


@keys.command()
def rotate(as_json: Json = False) -> None:
    """Make a new key, which a running collector takes up with its next request; a running replay keeps its own.

    Nothing is shredded and nothing rewritten: old pseudonyms stay, and can be linked while their key is kept. No
    measure and no duplicate depends on the key.
    """
    made = attribute_keys.rotate(Settings.from_env(os.environ).home, datetime.now(UTC))
    result = {"id": made.id, "made_at": made.made_at}
    show.as_json(result) if as_json else show.out.print(show.pairs("Present key", result))


@keys.command()
def forget(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="The key's id, as `tidemark keys list` shows it.")],
    yes: Annotated[bool, typer.Option("--yes", help="Yes, delete it for good.")] = False,
    as_json: Json = False,
) -> None:
    """Delete an old key for good: nobody can link its pseudonyms to a person any more, nor find them for one.

    Copies of the key in backups are not ours to delete. End replays that began before the last rotation first.
    """
    if not yes:
        raise SettingInvalid(f"The key {key_id} would be lost for good.", "Add --yes to delete it.")
    gone = attribute_keys.forget(Settings.from_env(os.environ).home, key_id)
    result = {"id": gone.id, "made_at": gone.made_at}
    show.as_json(result) if as_json else show.out.print(show.pairs("Forgotten", result))
