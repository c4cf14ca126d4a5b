"""`tidemark deadletters ...`: what was refused, why, and where in the message."""

from __future__ import annotations

import base64
import os
from collections import Counter
from dataclasses import asdict
from typing import Annotated, Any

import typer

from contracts.errors import NoSuchLetter
from contracts.letters import Letter
from contracts.settings import Settings
from infra import show
from infra.show import Json

deadletters = typer.Typer(no_args_is_help=True, help="Dead letters: what was refused, why, and where in the message.")


@deadletters.command("list")
def list_letters(
    code: Annotated[str, typer.Option(help="Only of this reason, as bad_money.")] = "",
    stage: Annotated[str, typer.Option(help="Only refused by collector, replay or live.")] = "",
    limit: Annotated[int, typer.Option(help="At most so many, the latest.")] = 50,
    as_json: Json = False,
) -> None:
    """The dead letters that Kafka holds, by reason, and the latest of them."""
    letters = [one for one in _letters() if code in ("", one.failure.code) and stage in ("", one.failure.stage)]
    latest = sorted(letters, key=lambda one: one.received_at or "")[-max(limit, 0) :] if limit else []
    counted = Counter(f"{one.failure.stage}: {one.failure.code}" for one in letters)
    if as_json:
        show.as_json({"count": len(letters), "by_reason": dict(counted), "letters": [_told(one) for one in latest]})
        return
    show.out.print(show.columns(f"{len(letters):,} dead letters", ["why", "letters"], list(counted.most_common())))
    rows = [[one.id, one.received_at, one.failure.code, one.failure.path, one.size] for one in latest]
    show.out.print(show.columns("The latest", ["id", "received", "code", "path", "bytes"], rows))


@deadletters.command("show")
def show_letter(
    letter_id: Annotated[str, typer.Argument(help="Its id, as `tidemark deadletters list` says it.")],
    as_json: Json = False,
) -> None:
    """One dead letter in full. Its message is cleaned of personal data, and cut after 64 KiB."""
    found = next((one for one in _letters() if one.id == letter_id), None)
    if found is None:
        raise NoSuchLetter(f"There is no dead letter {letter_id}", "`tidemark deadletters list` shows their ids.")
    told = _told(found) | {"text": found.raw.decode(errors="replace")}
    if as_json:
        show.as_json(told | {"raw": base64.b64encode(found.raw).decode()})
    else:
        show.out.print(show.pairs("Dead letter", told))


def _letters() -> list[Letter]:
    from speed_layer.dead_letters import read_letters

    return list(read_letters(Settings.from_env(os.environ).bootstrap))


def _told(letter: Letter) -> dict[str, Any]:
    beside = {name: getattr(letter, name) for name in ("record", "received_at", "sender", "size")}
    return {"id": letter.id, **asdict(letter.failure), **beside}
