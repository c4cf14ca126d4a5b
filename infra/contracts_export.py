"""The contracts in other tools' words: JSON Schema with descriptions, a Markdown dictionary, and ODCS YAML.

ODCS is the Open Data Contract Standard v3.1.0 (https://bitol-io.github.io/open-data-contract-standard/v3.1.0/).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from contracts.dictionary import Field, by_pointer
from contracts.schemas import Catalogue, EventSchema

_LOGICAL = {"string": "string", "number": "number", "integer": "integer", "boolean": "boolean"}
_TEXT_OPTIONS = ("minLength", "maxLength", "pattern")


def described(known: Catalogue, schema: EventSchema) -> dict[str, Any]:
    """The schema as one self-contained file; every property with description, `x-pii` and `x-unit`."""
    filled: dict[str, Any] = _describe(known.bundled(schema), "")
    return filled


def fields_of(known: Catalogue, schema: EventSchema) -> Iterator[tuple[str, dict[str, Any], bool]]:
    """Every field of an event: pointer, rules (references resolved), whether it must be there; parents first."""
    yield from _walk(known.bundled(schema), "")


def markdown(known: Catalogue) -> str:
    """The data dictionary: one table per event of its own fields, and one of those that every event may have."""
    lines = ["# Data dictionary", "", "Made by `tidemark contracts export --format markdown`.", ""]
    common = _shared_pointers(known)
    lines += ["## Every event", "", "One of anonymousId and userId is required.", ""]
    lines += _table(
        [(pointer, rules, False) for pointer, rules, _ in fields_of(known, known.newest()[0]) if pointer in common]
    )
    for schema in known.newest():
        lines += ["", f"## {schema.event}", "", f"{schema.schema['description']} Version {schema.version}.", ""]
        lines += _table([row for row in fields_of(known, schema) if row[0] not in common or row[2]])
    return "\n".join(lines) + "\n"


def odcs(known: Catalogue) -> str:
    """The newest version of every event as one data contract, YAML."""
    contract = {
        "apiVersion": "v3.1.0",
        "kind": "DataContract",
        "id": "tidemark-events",
        "name": "tidemark_events",
        "version": f"{max((s.version for s in known.events), default=1)}.0.0",
        "status": "active",
        "description": {
            "purpose": "Events of customer behaviour, as their senders write them to the collector.",
            "usage": "Send them with any client library of the Segment spec.",
            "limitations": "Further properties are welcome. An event without a contract is counted as custom.",
        },
        "schema": [_odcs_object(known, schema) for schema in known.newest()],
    }
    text: str = yaml.safe_dump(contract, sort_keys=False, allow_unicode=True, width=120)
    return text


def _walk(schema: dict[str, Any], at: str) -> Iterator[tuple[str, dict[str, Any], bool]]:
    merged = merge(schema)
    for name, rules in merged.get("properties", {}).items():
        yield f"{at}/{name}", merge(rules), name in merged.get("required", ())
        yield from _walk(rules, f"{at}/{name}")
    if isinstance(merged.get("items"), dict):
        yield f"{at}/*", merge(merged["items"]), False
        yield from _walk(merged["items"], f"{at}/*")


def merge(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema with its `allOf` branches laid into it: what it says itself goes before what it refers to."""
    merged: dict[str, Any] = {}
    for branch in (*map(merge, schema.get("allOf", ())), {k: v for k, v in schema.items() if k != "allOf"}):
        properties = {**merged.get("properties", {}), **branch.get("properties", {})}
        required = [*merged.get("required", ()), *branch.get("required", ())]
        merged |= (
            branch | ({"properties": properties} if properties else {}) | ({"required": required} if required else {})
        )
    return merged


def _describe(schema: Any, at: str) -> Any:
    if not isinstance(schema, dict):
        return schema
    made = dict(schema)
    if "properties" in made:
        made["properties"] = {name: _describe(rules, f"{at}/{name}") for name, rules in made["properties"].items()}
    if "items" in made:
        made["items"] = _describe(made["items"], f"{at}/*")
    if "allOf" in made:
        made["allOf"] = [_describe_inside(branch, at) for branch in made["allOf"]]
    field = by_pointer().get(at)
    return made | _annotations(field) if field else made


def _describe_inside(branch: dict[str, Any], at: str) -> dict[str, Any]:
    own = {"description", "x-pii", "x-unit"}
    return {name: rule for name, rule in _describe(branch, at).items() if name not in own}


def _annotations(field: Field) -> dict[str, Any]:
    unit = {"x-unit": field.unit} if field.unit else {}
    return {"description": field.description, "x-pii": str(field.pii), **unit}


def _shared_pointers(known: Catalogue) -> set[str]:
    lists = [{pointer for pointer, _, _ in fields_of(known, schema)} for schema in known.newest()]
    return {pointer for pointer in set.intersection(*lists) if not pointer.startswith(("/properties/", "/traits/"))}


def _table(fields: list[tuple[str, dict[str, Any], bool]]) -> list[str]:
    rows = ["| field | type | required | unit | PII | description |", "|---|---|---|---|---|---|"]
    for pointer, rules, must in fields:
        field = by_pointer()[pointer]
        cells = (f"`{pointer}`", type_text(rules), "yes" if must else "", field.unit, field.pii, field.description)
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return rows


def type_text(rules: dict[str, Any]) -> str:
    """The JSON types a value may have, null left out: `string, number`."""
    given = rules.get("type", "any")
    return given if isinstance(given, str) else ", ".join(name for name in given if name != "null")


def _odcs_object(known: Catalogue, schema: EventSchema) -> dict[str, Any]:
    return {
        "name": schema.slug.replace("-", "_"),
        "businessName": schema.event,
        "physicalName": schema.name,
        "physicalType": "event",
        "logicalType": "object",
        "description": schema.schema["description"],
        "properties": _odcs_properties(known.bundled(schema), ""),
    }


def _odcs_properties(schema: dict[str, Any], at: str) -> list[dict[str, Any]]:
    merged = merge(schema)
    must = merged.get("required", ())
    return [
        {"name": name, **_odcs_value(merge(rules), f"{at}/{name}"), "required": name in must}
        for name, rules in merged.get("properties", {}).items()
    ]


def _odcs_value(rules: dict[str, Any], at: str) -> dict[str, Any]:
    field = by_pointer()[at]
    types = type_text(rules)
    value: dict[str, Any] = {"physicalType": types, "description": field.description, "classification": str(field.pii)}
    if "object" in types:
        value |= {"logicalType": "object", "properties": _odcs_properties(rules, at)}
    elif "array" in types:
        value |= {"logicalType": "array", "items": _odcs_value(merge(rules.get("items", {})), f"{at}/*")}
    else:
        # The standard wants one type: several are text, and any is an object of which nothing is known.
        value["logicalType"] = "object" if types == "any" else _LOGICAL.get(types, "string")
    options = {name: rules[name] for name in _TEXT_OPTIONS if name in rules and value.get("logicalType") == "string"}
    value |= {"logicalTypeOptions": options} if options else {}
    return value | ({"customProperties": [{"property": "unit", "value": field.unit}]} if field.unit else {})
