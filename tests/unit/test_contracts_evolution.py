"""What may change between two versions of a schema."""

from __future__ import annotations

from typing import Any

import jsonschema_rs
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from contracts.evolution import breaking_changes

A, B = {"type": "string"}, {"type": "integer"}


def with_a(rule: Any, **more: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"a": rule}, **more}


@pytest.mark.parametrize(
    ("old", "new", "broken"),
    [
        (with_a(A), with_a(A), []),
        (with_a(A), {"type": "object", "properties": {}}, ["/a: property was removed"]),
        (with_a(A), {"type": "object", "properties": {"a": A, "b": B}}, []),
        (with_a({}), with_a(A), ["/a: type no longer allows array, boolean, integer, null, number, object"]),
        (with_a({"type": ["string", "null"]}), with_a(A), ["/a: type no longer allows null"]),
        (with_a({"type": "number"}), with_a(B), ["/a: type no longer allows number"]),
        (with_a(B), with_a({"type": "number"}), []),
        (with_a(A), with_a(A, required=["a"]), ["/: a is now required"]),
        (with_a(A, required=["a"]), with_a(A), []),
        ({"enum": [1, 2]}, {"enum": [1]}, ["/: no longer allows the values 2"]),
        ({"enum": [1]}, {"enum": [1, 2]}, []),
        ({}, {"enum": [1]}, ["/: values are now an enumeration"]),
        ({"const": "x"}, {"enum": ["x", "y"]}, []),
        ({"enum": ["x", "y"]}, {"const": "x"}, ['/: no longer allows the values "y"']),
        ({"minimum": 0}, {"minimum": 1}, ["/: minimum is tighter"]),
        ({"minimum": 1}, {"minimum": 0}, []),
        ({}, {"exclusiveMinimum": 0}, ["/: exclusiveMinimum is tighter"]),
        ({}, {"minLength": 0}, []),
        ({}, {"minLength": 1}, ["/: minLength is tighter"]),
        ({"maxLength": 255}, {"maxLength": 254}, ["/: maxLength is tighter"]),
        ({"maxLength": 255}, {}, []),
        ({}, {"maximum": 5}, ["/: maximum is tighter"]),
        ({"maxItems": 1}, {"maxItems": 2}, []),
        ({}, {"multipleOf": 1}, ["/: multipleOf is tighter"]),
        ({"multipleOf": 4}, {"multipleOf": 2}, []),
        ({"multipleOf": 2}, {"multipleOf": 4}, ["/: multipleOf is tighter"]),
        ({}, {"uniqueItems": True}, ["/: items must now be unique"]),
        ({}, {"pattern": "^a"}, ["/: pattern was added or changed"]),
        ({"pattern": "^a"}, {"pattern": "^b"}, ["/: pattern was added or changed"]),
        ({"pattern": "^a"}, {}, []),
        ({}, {"format": "uri"}, ["/: format was added or changed"]),
        ({"additionalProperties": True}, {"additionalProperties": False}, None),
        ({}, {"additionalProperties": A}, None),
        ({"additionalProperties": False}, {"additionalProperties": A}, []),
        ({"additionalProperties": False}, {}, []),
        ({"items": A}, {"items": B}, ["/*: type no longer allows string"]),
        ({"items": A}, {}, []),
        ({}, {"anyOf": [A]}, ["/: anyOf was added, changed or removed"]),
        ({"anyOf": [A]}, {}, []),
        ({"patternProperties": {"a": A}}, {}, ["/: patternProperties was added, changed or removed"]),
        ({"allOf": [A]}, {"allOf": [B]}, ["/: type no longer allows string"]),
        ({"allOf": [A]}, {"allOf": [A, {"required": ["b"]}]}, ["/: b is now required"]),
        ({"allOf": [with_a(A)]}, {}, ["/a: property was removed"]),
        ({"allOf": [A]}, {}, []),
        (with_a(with_a(A)), with_a(with_a(B)), ["/a/a: type no longer allows string"]),
        (False, A, []),
        (True, False, None),
        ({"title": "x", "x-pii": "none"}, {"description": "y"}, []),
    ],
)
def test_breaking_changes(old: Any, new: Any, broken: list[str] | None) -> None:
    found = breaking_changes(old, new)
    assert found == broken if broken is not None else found != []


_NAMES = st.sampled_from(["a", "b", "c"])
_TYPES = st.sampled_from(["string", "integer", "number", "null", "boolean", "object", "array"])
_RULES: dict[str, st.SearchStrategy[Any]] = {
    "type": _TYPES | st.lists(_TYPES, min_size=1, max_size=4, unique=True),
    "minimum": st.integers(-2, 2),
    "maximum": st.integers(-2, 2),
    "minLength": st.integers(0, 2),
    "maxLength": st.integers(0, 2),
    "multipleOf": st.integers(1, 4),
    "pattern": st.sampled_from(["a", "^b"]),
    "enum": st.lists(st.sampled_from([0, 1, "a", None]), min_size=1, unique_by=repr),
    "required": st.lists(_NAMES, unique=True, max_size=2),
    "uniqueItems": st.booleans(),
    "minItems": st.integers(0, 2),
}


def _deeper(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    nested = {
        "properties": st.dictionaries(_NAMES, inner, max_size=3),
        "items": inner,
        "additionalProperties": inner,
        "allOf": st.lists(inner, min_size=1, max_size=2),
        "anyOf": st.lists(inner, min_size=1, max_size=2),
        "not": inner,
    }
    return st.fixed_dictionaries({}, optional=_RULES | nested)


schemas = st.recursive(st.booleans() | st.fixed_dictionaries({}, optional=_RULES), _deeper, max_leaves=6)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "a", "ba", "abc"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=3),
    max_leaves=5,
)


@given(schemas)
def test_a_schema_does_not_break_itself(schema: Any) -> None:
    assert breaking_changes(schema, schema) == []


@given(schemas.filter(lambda s: isinstance(s, dict)), schemas)
def test_adding_an_optional_property_breaks_nothing(schema: dict[str, Any], added: Any) -> None:
    assert breaking_changes(schema, schema | {"properties": {**schema.get("properties", {}), "new": added}}) == []


@given(st.data(), schemas, values)
def test_what_does_not_break_refuses_nothing_that_was_valid(data: st.DataObject, old: Any, value: Any) -> None:
    """But for a property that is newly declared: where any was welcome, that is an addition by decision."""
    assume(isinstance(old, dict))
    changed = data.draw(st.sampled_from(sorted([*_RULES, "items", "additionalProperties", "allOf", "anyOf", "not"])))
    drawn = data.draw(st.fixed_dictionaries({}, optional={changed: _RULES.get(changed, schemas)}))
    new = {name: rule for name, rule in old.items() if name != changed} | drawn
    if changed in {"allOf", "anyOf"} and changed in new:
        new[changed] = [new[changed]]
    assume(jsonschema_rs.meta.is_valid(new) and not breaking_changes(old, new))
    if jsonschema_rs.Draft202012Validator(old).is_valid(value):
        assert jsonschema_rs.Draft202012Validator(new).is_valid(value)
