"""`tidemark contracts ...`: what events are, whether messages and the contracts keep to it, and other tools' forms."""

from __future__ import annotations

import json
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from contracts.dictionary import by_pointer
from contracts.errors import ContractInvalid
from infra import show
from infra.show import Json

contracts = typer.Typer(no_args_is_help=True, help="Contracts of events: schemas, samples, the dictionary of fields.")
_MOST_ROWS = 200


class Format(StrEnum):
    """What an export is written as."""

    JSONSCHEMA = "jsonschema"
    MARKDOWN = "markdown"
    ODCS = "odcs"


@contracts.command("show")
def show_events(
    event: Annotated[str, typer.Argument(help="An event's name or slug, as order-completed; all without one.")] = "",
    as_json: Json = False,
) -> None:
    """The events and their versions; or the fields of one, with type, unit and PII class."""
    from contracts.schemas import catalogue

    known = catalogue()
    if event:
        _show_one(event, as_json)
        return
    rows = [{"event": s.event, "slug": s.slug, "version": s.version, "says": _about(s)} for s in known.newest()]
    if as_json:
        show.as_json(rows)
    else:
        show.out.print(show.columns("Events", ["event", "slug", "version", "says"], [list(r.values()) for r in rows]))


@contracts.command()
def check(
    paths: Annotated[list[Path] | None, typer.Argument(help="Files of messages: JSON or JSON Lines.")] = None,
    as_json: Json = False,
) -> None:
    """Check messages against their events' schemas; without paths, the contracts themselves. Exit 1 on findings."""
    from contracts.schemas import catalogue
    from infra.contracts_check import message_faults, own_faults

    found = [f for path in paths for f in message_faults(path)] if paths else own_faults(catalogue())
    faults = [fault for fault in found if not fault.is_note]
    if as_json:
        show.as_json({"ok": not faults, "findings": [asdict(fault) for fault in found]})
    elif found:
        rows = [(f.place, f.event, f.pointer, f"{f.keyword}: {f.message}") for f in found[:_MOST_ROWS]]
        show.out.print(show.columns("Findings", ["where", "event", "pointer", "message"], rows))
        show.out.print(f"{len(faults):,} findings, {len(found) - len(faults):,} notes")
    else:
        show.out.print("[green]sound[/green]: nothing to report")
    raise typer.Exit(1 if faults else 0)


@contracts.command()
def publish(as_json: Json = False) -> None:
    """Pin the shape of every version that is not published yet. Refuses while a published one breaks."""
    from contracts.schemas import catalogue, evolution_faults, published, shape

    known = catalogue()
    pinned = published(known.folder)
    new = {s.name: shape(s.schema) for s in (*known.shared, *known.events) if s.name not in pinned}
    broken = [text for text in evolution_faults(known) if text.split(":", 1)[0] not in new or "breaks" in text]
    if broken:
        raise ContractInvalid("; ".join(broken), "leave published versions as they are, and add to the next one")
    lines = (f"{json.dumps(name)}: {json.dumps(said)}" for name, said in sorted((pinned | new).items()))
    (known.folder / "published.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
    show.as_json(sorted(new)) if as_json else show.out.print(show.pairs("Published", {"new versions": len(new)}))


@contracts.command()
def export(
    fmt: Annotated[Format, typer.Option("--format", help="Which form.")],
    out: Annotated[Path | None, typer.Option(help="Folder to write into; stdout without one.")] = None,
    as_json: Json = False,
) -> None:
    """Write JSON Schemas (with descriptions), a Markdown data dictionary, or an Open Data Contract (ODCS v3)."""
    from contracts.schemas import catalogue
    from infra.contracts_export import described, markdown, odcs

    known = catalogue()
    if fmt is Format.JSONSCHEMA:
        texts = {f"{s.name}.json": json.dumps(described(known, s), indent=2) + "\n" for s in known.events}
    elif fmt is Format.MARKDOWN:
        texts = {"data-dictionary.md": markdown(known)}
    else:
        texts = {"tidemark-events.odcs.yaml": odcs(known)}
    if out is None:
        _print(texts, as_json=as_json or fmt is Format.JSONSCHEMA)
        return
    _write(texts, out)
    listed = {"folder": str(out), "files": sorted(texts)}
    show.as_json(listed) if as_json else show.out.print(show.pairs("Written", {"folder": out, "files": len(texts)}))


def _print(texts: dict[str, str], *, as_json: bool) -> None:
    if as_json:
        show.as_json({name: json.loads(t) if name.endswith(".json") else t for name, t in texts.items()})
        return
    for text in texts.values():
        typer.echo(text, nl=False)


def _write(texts: dict[str, str], out: Path) -> None:
    for name, text in texts.items():
        try:
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            (out / name).write_text(text)
        except OSError as error:
            raise ContractInvalid(f"{out / name}: cannot be written: {error.strerror}", "name another --out") from error


def _show_one(event: str, as_json: bool) -> None:
    from contracts.schemas import catalogue
    from infra.contracts_export import described, fields_of, type_text

    known, wanted = catalogue(), event.strip().lower()
    chosen = next((s for s in known.newest() if wanted in {s.event.lower(), s.slug}), None)
    if chosen is None:
        raise ContractInvalid(f"no event is called {event!r}", "`tidemark contracts show` lists the events")
    if as_json:
        show.as_json(described(known, chosen))
        return
    rows = []
    for pointer, rules, must in fields_of(known, chosen):
        field = by_pointer()[pointer]
        rows.append((pointer, type_text(rules), must or None, field.unit, str(field.pii), field.description))
    show.out.print(
        show.columns(
            f"{chosen.event}, version {chosen.version}: {_about(chosen)}",
            ["field", "type", "required", "unit", "PII", "says"],
            rows,
        )
    )


def _about(schema: Any) -> str:
    return str(schema.schema.get("description", ""))
