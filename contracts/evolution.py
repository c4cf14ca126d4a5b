"""What may change between two versions of a JSON Schema (draft 2020-12): a later one may only add or widen.

A message that was valid stays valid, and a property that readers know stays declared. References must be resolved
before (`schemas.bundled`). Where it cannot be told whether a change narrows, it counts as breaking.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

Schema = Mapping[str, Any] | bool

ANNOTATIONS = frozenset(
    "$schema $id $anchor $comment $defs title description default examples deprecated readOnly writeOnly".split()
)
_ALL_TYPES = frozenset("null boolean object array number integer string".split())
_LOWER_BOUNDS = {"minimum": None, "exclusiveMinimum": None, "minLength": 0, "minItems": 0, "minProperties": 0}
_UPPER_BOUNDS = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_TEXT_RULES = ("pattern", "format", "contentEncoding", "contentMediaType")
_SUBSCHEMAS = ("additionalProperties", "items", "propertyNames")
_JUDGED = frozenset(
    [
        *_LOWER_BOUNDS,
        *_UPPER_BOUNDS,
        *_TEXT_RULES,
        *_SUBSCHEMAS,
        *"type enum const required properties allOf multipleOf uniqueItems".split(),
    ]
)
# Conditions bind what they stand beside: to take one away widens only where nothing leans on it.
_SAFE_TO_REMOVE = frozenset(["anyOf", "oneOf", "not", "dependentRequired", "dependentSchemas", "unevaluatedItems"])


def breaking_changes(old: Schema, new: Schema) -> list[str]:
    """Each way in which `new` asks more or says less than `old`, as `pointer: what`; empty where it only adds."""
    return _compare(_plain(old), _plain(new), "")


def _plain(schema: Schema) -> dict[str, Any]:
    if isinstance(schema, bool):
        return {} if schema else {"not": {}}
    return {name: rule for name, rule in schema.items() if name not in ANNOTATIONS and not name.startswith("x-")}


def _compare(old: dict[str, Any], new: dict[str, Any], at: str) -> list[str]:
    if old.get("not") in ({}, True):
        return []
    rules: tuple[Callable[[dict[str, Any], dict[str, Any]], list[str]], ...] = (
        _types, _values, _bounds, _texts, _required, _others,
    )  # fmt: skip
    found = [f"{at or '/'}: {what}" for rule in rules for what in rule(old, new)]
    return [*found, *_properties(old, new, at), *_nested(old, new, at), *_branches(old, new, at)]


def _types(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    lost = sorted(_type_names(old) - _type_names(new))
    return [f"type no longer allows {', '.join(lost)}"] if lost else []


def _type_names(schema: dict[str, Any]) -> frozenset[str]:
    given = schema.get("type", list(_ALL_TYPES))
    names = frozenset([given] if isinstance(given, str) else given)
    return names | {"integer"} if "number" in names else names


def _values(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    before, after = _allowed(old), _allowed(new)
    if after is None:
        return []
    if before is None:
        return ["values are now an enumeration"]
    lost = sorted(before - after)
    return [f"no longer allows the values {', '.join(lost)}"] if lost else []


def _allowed(schema: dict[str, Any]) -> set[str] | None:
    sets = [set(map(_text, schema["enum"]))] if "enum" in schema else []
    sets += [{_text(schema["const"])}] if "const" in schema else []
    return set.intersection(*sets) if sets else None


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def _bounds(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    raised = [n for n, least in _LOWER_BOUNDS.items() if _is_above(new.get(n, least), old.get(n, least))]
    lowered = [n for n in _UPPER_BOUNDS if n in new and (n not in old or new[n] < old[n])]
    found = [f"{name} is tighter" for name in (*raised, *lowered)]
    step, former = new.get("multipleOf"), old.get("multipleOf")
    if step is not None and step != former and (former is None or not _is_multiple(former, step)):
        found.append("multipleOf is tighter")
    return [*found, "items must now be unique"] if new.get("uniqueItems") and not old.get("uniqueItems") else found


def _is_above(now: float | None, before: float | None) -> bool:
    return now is not None and (before is None or now > before)


def _is_multiple(value: float, step: float) -> bool:
    return isinstance(value, int) and isinstance(step, int) and value % step == 0


def _texts(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    return [f"{name} was added or changed" for name in _TEXT_RULES if name in new and new[name] != old.get(name)]


def _required(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    return [f"{name} is now required" for name in new.get("required", ()) if name not in old.get("required", ())]


def _others(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    changed = [name for name in {**old, **new} if name not in _JUDGED and old.get(name) != new.get(name)]
    judged = [name for name in changed if name in new or name not in _SAFE_TO_REMOVE]
    return [f"{name} was added, changed or removed" for name in judged]


def _properties(old: dict[str, Any], new: dict[str, Any], at: str) -> list[str]:
    before, after = old.get("properties", {}), new.get("properties", {})
    removed = [f"{at}/{name}: property was removed" for name in before if name not in after]
    # A property that was barred may come with any rule; where any was welcome, one that is now declared is an addition.
    kept = [(name, _plain(before[name]), _plain(after[name])) for name in before if name in after]
    return [*removed, *(what for name, was, now in kept for what in _compare(was, now, f"{at}/{name}"))]


def _nested(old: dict[str, Any], new: dict[str, Any], at: str) -> list[str]:
    found = []
    for name in (name for name in _SUBSCHEMAS if name in old or name in new):
        was, now = _plain(old.get(name, True)), _plain(new.get(name, True))
        found += _compare(was, now, f"{at}/{'*' if name == 'items' else f'({name})'}")
    return found


def _branches(old: dict[str, Any], new: dict[str, Any], at: str) -> list[str]:
    before, after = old.get("allOf", []), new.get("allOf", [])
    return [
        what
        for place in range(max(len(before), len(after)))
        for what in _compare(_branch(before, place), _branch(after, place), at)
    ]


def _branch(branches: list[Schema], place: int) -> dict[str, Any]:
    return _plain(branches[place]) if place < len(branches) else {}
