"""The events' JSON Schemas: files `contracts/events/<slug>/v<N>.json`, one per event and version.

`title` is the event's name (of a track call) or the call's type. What events share stands in `common/v<N>.json`.
`published.json` holds the shape of every published version: the schema without annotations. It is never edited by
hand; `tidemark contracts publish` adds what is new and refuses what breaks.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import jsonschema_rs

from contracts.errors import ContractInvalid
from contracts.evolution import ANNOTATIONS, breaking_changes
from contracts.kinds import CALL_TYPES

EVENTS = Path(__file__).resolve().parent / "events"
COMMON = "common"
_VERSION = re.compile(r"v([1-9][0-9]*)\.json")
_REMEDY = "correct the file, then run `tidemark contracts check`"


@dataclass(frozen=True, slots=True)
class EventSchema:
    """One version of one event's schema, as its file says it."""

    slug: str
    version: int
    schema: dict[str, Any]

    @property
    def event(self) -> str:
        """The event's name, as `Order Completed`, or the call's type, as `page`."""
        return str(self.schema["title"])

    @property
    def name(self) -> str:
        """Slug and version, as `order-completed/v1`."""
        return f"{self.slug}/v{self.version}"

    @property
    def call_type(self) -> str:
        """The call it is about: `track` unless the event is a call of its own."""
        return self.event if self.event in CALL_TYPES else "track"


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Every event's schemas under one folder, oldest version first, and what they share by its `$id`."""

    folder: Path
    events: tuple[EventSchema, ...]
    shared: tuple[EventSchema, ...]

    def versions(self, slug: str) -> list[EventSchema]:
        """The versions of one event, oldest first; empty where there is none."""
        return [schema for schema in self.events if schema.slug == slug]

    def newest(self) -> list[EventSchema]:
        """Each event's newest version, by slug."""
        return list({schema.slug: schema for schema in self.events}.values())

    def bundled(self, schema: EventSchema) -> dict[str, Any]:
        """The schema with every reference replaced by what it names.

        Raises `ContractInvalid` for a reference to nothing, or to itself.
        """
        by_id = {s.schema["$id"]: s.schema for s in self.shared}
        try:
            bundled: dict[str, Any] = _resolve(schema.schema, by_id, schema.name)
        except RecursionError as error:
            raise ContractInvalid(f"{schema.name}: its references lead in a circle", _REMEDY) from error
        return bundled

    def validator(self, schema: EventSchema) -> jsonschema_rs.Draft202012Validator:
        """The schema, compiled. Raises `ContractInvalid` where the validator cannot use it."""
        registry = jsonschema_rs.Registry([(s.schema["$id"], s.schema) for s in self.shared])
        try:
            return jsonschema_rs.Draft202012Validator(schema.schema, registry=registry, offline=True)
        except jsonschema_rs.ValidationError as error:
            raise ContractInvalid(f"{schema.name}.json: {_place(error)}", _REMEDY) from error
        except (jsonschema_rs.ReferencingError, ValueError) as error:
            raise ContractInvalid(f"{schema.name}.json: cannot be used: {error}", _REMEDY) from error


@cache
def catalogue(folder: Path = EVENTS) -> Catalogue:
    """The schemas of a folder. Raises `ContractInvalid`, naming file and place, for the first that cannot be used."""
    made = [_load(path, int(found[1])) for path in sorted(folder.glob("*/v*.json")) if (found := _version(path))]
    made.sort(key=lambda schema: (schema.slug, schema.version))
    shared = tuple(schema for schema in made if schema.slug == COMMON)
    result = Catalogue(folder, tuple(schema for schema in made if schema.slug != COMMON), shared)
    by_event: dict[str, str] = {}
    for schema in result.events:
        result.bundled(schema)
        result.validator(schema)
        if by_event.setdefault(schema.event.lower(), schema.slug) != schema.slug:
            raise ContractInvalid(f"{schema.name}: {schema.event} is the event of another schema", _REMEDY)
    return result


def read_json(path: Path) -> Any:
    """A file's JSON. Raises `ContractInvalid` naming the file, the line and the column where it is none."""
    try:
        return json.loads(path.read_bytes().decode())
    except (ValueError, OSError) as error:
        raise ContractInvalid(f"{_short(path)}: no valid JSON: {error}", _REMEDY) from error


def shape(schema: Any) -> Any:
    """The schema without what only describes; the title stays, being the event's name."""
    if isinstance(schema, dict):
        return {
            name: _shape_under(name, rule)
            for name, rule in schema.items()
            if name in {"title", "$defs", "$id"} or (name not in ANNOTATIONS and not name.startswith("x-"))
        }
    return [shape(item) for item in schema] if isinstance(schema, list) else schema


def published(folder: Path = EVENTS) -> dict[str, Any]:
    """Shapes of the published versions by name, as `order-completed/v1`; empty where nothing was published."""
    path = folder / "published.json"
    found = read_json(path) if path.exists() else {}
    if not isinstance(found, dict):
        raise ContractInvalid(f"{_short(path)}: is no JSON object", "take the file from version control")
    return found


def evolution_faults(known: Catalogue) -> Iterator[str]:
    """How the files contradict what was published, and where a version breaks the one before it."""
    pinned = published(known.folder)
    current = {schema.name: schema for schema in (*known.shared, *known.events)}
    yield from (f"{name}: was published, and its file is gone" for name in pinned if name not in current)
    for name, schema in current.items():
        if name not in pinned:
            yield f"{name}: is not published: run `tidemark contracts publish`"
        elif pinned[name] != shape(schema.schema):
            broken = breaking_changes(_as_judged(pinned[name]), _as_judged(shape(schema.schema)))
            how = "; ".join(broken) or "nothing that breaks, yet a published version stays as it is"
            yield f"{name}: was edited after it was published ({how}): add the next version instead"
    yield from _steps(known)


def _as_judged(shaped: Any) -> Any:
    # What is shared has definitions only: each is judged like a property.
    return {"properties": shaped["$defs"]} if isinstance(shaped, dict) and "$defs" in shaped else shaped


def _steps(known: Catalogue) -> Iterator[str]:
    for slug in dict.fromkeys(schema.slug for schema in known.events):
        versions = known.versions(slug)
        if [schema.version for schema in versions] != list(range(1, len(versions) + 1)):
            yield f"{slug}: versions are not numbered from 1 without a gap"
        for old, new in pairwise(versions):
            broken = breaking_changes(known.bundled(old), known.bundled(new))
            yield from (f"{new.name}: breaks {old.name}: {what}" for what in broken)


def _version(path: Path) -> re.Match[str] | None:
    return _VERSION.fullmatch(path.name)


def _load(path: Path, version: int) -> EventSchema:
    schema = read_json(path)
    if not isinstance(schema, dict):
        raise ContractInvalid(f"{_short(path)}: a schema is a JSON object", _REMEDY)
    try:
        jsonschema_rs.meta.validate(schema)
    except jsonschema_rs.ValidationError as error:
        raise ContractInvalid(f"{_short(path)}: {_place(error)}", _REMEDY) from error
    loaded = EventSchema(path.parent.name, version, schema)
    is_common = loaded.slug == COMMON
    wanted = f"urn:tidemark:{'' if is_common else 'event:'}{loaded.slug}:v{version}"
    if schema.get("$id") != wanted:
        raise ContractInvalid(f"{_short(path)}: $id must be {wanted}", _REMEDY)
    if not is_common and not isinstance(schema.get("title"), str):
        raise ContractInvalid(f"{_short(path)}: title must name the event", _REMEDY)
    return loaded


def _place(error: jsonschema_rs.ValidationError) -> str:
    return f"no valid JSON Schema at /{'/'.join(map(str, error.instance_path))}: {error.message}"


def _short(path: Path) -> str:
    return "/".join(path.parts[-2:])


def _shape_under(name: str, rule: Any) -> Any:
    # Under these, names are properties' own: one called `title` is no annotation.
    if name in {"properties", "$defs", "patternProperties", "dependentSchemas"} and isinstance(rule, dict):
        return {own: shape(inner) for own, inner in rule.items()}
    return rule if name in {"enum", "const", "required"} else shape(rule)


def _resolve(schema: Any, by_id: dict[str, Any], name: str) -> Any:
    if isinstance(schema, list):
        return [_resolve(item, by_id, name) for item in schema]
    if not isinstance(schema, dict):
        return schema
    rest = {key: _resolve(rule, by_id, name) for key, rule in schema.items() if key != "$ref"}
    if not isinstance(schema.get("$ref"), str):
        return rest if "$ref" not in schema else rest | {"$ref": _resolve(schema["$ref"], by_id, name)}
    target = _resolve(_target(schema["$ref"], by_id, name), by_id, name)
    return rest | {"allOf": [target, *rest.get("allOf", [])]} if rest else target


def _target(reference: str, by_id: dict[str, Any], name: str) -> Any:
    base, _, pointer = reference.partition("#")
    found = by_id.get(base)
    for part in filter(None, pointer.split("/")):
        found = found.get(part) if isinstance(found, dict) else None
    if found is None:
        raise ContractInvalid(f"{name}: the reference {reference} leads nowhere", _REMEDY)
    return found
