"""The events' schemas: their samples, their meanings, their agreement with the parser, and what broken files say."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.dictionary import FIELDS, Pii, by_pointer, of_class
from contracts.envelope import Entered, Stamp, enter, record_key
from contracts.errors import ContractInvalid
from contracts.fields import EVENT
from contracts.kinds import CALL_TYPES, KIND_BY_EVENT_NAME
from contracts.privacy import InstallationKeys
from contracts.reasons import Reason
from contracts.schemas import COMMON, EVENTS, catalogue, evolution_faults, read_json, shape
from contracts.settings import Settings
from contracts.validation import findings
from infra.contracts_check import own_faults
from infra.contracts_export import fields_of, type_text
from spark_jobs.transforms import leaves
from spark_jobs.transforms.parse import Event, parse

KNOWN = catalogue()
KEYS = InstallationKeys(b"secret", b"an attribute key")
RULES = Settings().rules
PASSING, FAILING = (sorted(EVENTS.glob(f"*/samples/{kind}/*.json")) for kind in ("pass", "fail"))
LISTED_FINDINGS = {"required", "type", "anyOf", "maxLength", "minLength", "multipleOf", "minimum", "maximum", "pattern"}


def name_of(path: Path) -> str:
    return f"{path.parts[-4]}/{path.stem}"


def parsed(raw: bytes) -> Event | Reason:
    """What the way in and the transforms make of a message."""
    entered = enter(raw, None, Stamp("2026-03-01T12:00:05.000Z"), KEYS)
    if not isinstance(entered, Entered):
        assert entered.reason
        return entered.reason
    return parse(record_key(entered.message_id, entered.fingerprint), entered.value, RULES)


def raw_message(path: Path) -> bytes:
    """The bytes of a fail sample's message, every number as it was written."""
    text = path.read_text()
    return text[text.index('"message":') + len('"message":') : text.rindex("}")].strip().encode()


@pytest.mark.parametrize("path", PASSING, ids=name_of)
def test_a_pass_sample_passes_and_is_an_event(path: Path) -> None:
    assert findings(leaves.decode(path.read_bytes())) == []
    assert isinstance(parsed(path.read_bytes()), Event)


@pytest.mark.parametrize("path", FAILING, ids=name_of)
def test_a_fail_sample_fails_where_it_says_and_the_parser_does_as_it_says(path: Path) -> None:
    expect, message = read_json(path)["expect"], leaves.decode(raw_message(path))
    assert (expect["pointer"], expect["keyword"]) in {(f.pointer, f.keyword) for f in findings(message)}
    verdict = parsed(raw_message(path))
    assert ("good" if isinstance(verdict, Event) else verdict.value) == expect["parser"]


def test_every_known_event_and_call_has_a_schema_and_samples() -> None:
    named = {schema.event.lower() for schema in KNOWN.events}
    assert {*KIND_BY_EVENT_NAME, *CALL_TYPES} - {"track"} - named == set()
    for schema in KNOWN.newest():
        folder = EVENTS / schema.slug / "samples"
        assert list(folder.glob("pass/*.json"))
        assert list(folder.glob("fail/*.json"))
        assert schema.slug == schema.event.lower().replace(" ", "-")


def test_the_contracts_are_sound() -> None:
    assert own_faults(KNOWN) == []


def test_every_field_of_a_schema_is_in_the_dictionary_and_the_other_way_round() -> None:
    used = {pointer for schema in KNOWN.events for pointer, _, _ in fields_of(KNOWN, schema)}
    assert used ^ set(by_pointer()) == set()
    assert len(by_pointer()) == len(FIELDS)


def test_a_field_conforms_to_the_definition_its_type_names() -> None:
    common = next(s for s in KNOWN.shared if s.slug == COMMON)
    definitions = KNOWN.bundled(common)["$defs"]
    kinds = {"object": "object", "list": "array"}
    for schema in KNOWN.newest():
        for pointer, rules, _ in fields_of(KNOWN, schema):
            kind = by_pointer()[pointer].type
            if kind in kinds:
                assert kinds[kind] in rules["type"], pointer
            elif kind != "any":
                assert set(type_text(rules).split(", ")) <= set(type_text(definitions[kind]).split(", ")), pointer


def test_the_dictionary_says_something_of_every_field() -> None:
    assert [f.pointer for f in FIELDS if not f.description.endswith(".")] == []
    assert {f.column for f in FIELDS} - {""} <= set(EVENT.names)
    assert [f.pointer for f in FIELDS if f.type == "amount" and not f.unit] == []
    assert {"/traits/email", "/traits/phone", "/traits/name", "/context/ip"} <= set(of_class(Pii.DIRECT))


def test_an_event_s_own_schema_bars_no_further_property() -> None:
    assert [s.name for s in KNOWN.events if "additionalProperties" in json.dumps(s.schema)] == []


LEAVES = st.sampled_from(
    ["12.50", "1e5", "1.5", "-3", "null", "true", '"12.5"', '" 7 "', '"x"', "[]", "{}", "7", '""', '"USD"', '"1.0"']
)
NAMES = st.sampled_from("price total revenue value tax shipping discount quantity currency products coupon".split())
REFUSED = {Reason.BAD_MONEY, Reason.BAD_CURRENCY, Reason.BAD_QUANTITY, Reason.WRONG_TYPE}


@given(st.dictionaries(NAMES, LEAVES, max_size=3))
def test_what_the_parser_refuses_for_its_shape_the_schema_names_and_nothing_else(properties: dict[str, str]) -> None:
    """But for a quantity sent as the text "1.0", which looks to the schema like the number it is."""
    members = ",".join(f'"{name}":{text}' for name, text in ({"order_id": '"O-1"'} | properties).items())
    head = '"type":"track","event":"Order Completed","anonymousId":"a","timestamp":"2026-03-01T12:00:00Z"'
    raw = f'{{{head},"properties":{{{members}}}}}'.encode()
    verdict, found = parsed(raw), {f.pointer.rsplit("/", 1)[-1] for f in findings(leaves.decode(raw))}
    if isinstance(verdict, Reason) and verdict in REFUSED:
        assert found or properties.get("quantity") == '"1.0"'
    elif isinstance(verdict, Event):
        # What the parser takes for absent without a word.
        assert found <= {"coupon"}


# --- broken files ---------------------------------------------------------------------------------------------------


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copytree(EVENTS, tmp_path / "events")
    return tmp_path / "events"


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(read_json(path) | changes))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"title": "Page"', "page/v1.json: no valid JSON: .*line 1 column"),
        ("[]", "page/v1.json: a schema is a JSON object"),
        ('{"properties": {"a": {"type": "strin"}}}', "page/v1.json: no valid JSON Schema at /properties/a/type"),
        ('{"$id": "urn:other"}', "id must be urn:tidemark:event:page:v1"),
        ('{"$id": "urn:tidemark:event:page:v1"}', "title must name the event"),
        (
            '{"$id": "urn:tidemark:event:page:v1", "title": "page", "$ref": "urn:tidemark:common:v1#/$defs/nothing"}',
            "defs/nothing leads nowhere",
        ),
        ('{"$id": "urn:tidemark:event:page:v1", "title": "Alias"}', "page/v1: Alias is the event of another schema"),
        (
            '{"$id": "urn:tidemark:event:page:v1", "title": "page", "properties": {"a": {"pattern": "("}}}',
            "page/v1.json: no valid JSON Schema at .*pattern",
        ),
    ],
)
def test_a_broken_schema_file_is_named_with_its_place(copy: Path, text: str, says: str) -> None:
    (copy / "page/v1.json").write_text(text)
    with pytest.raises(ContractInvalid, match=says):
        catalogue(copy)


def test_references_in_a_circle_are_found(copy: Path) -> None:
    common = read_json(copy / "common/v1.json")
    common["$defs"]["text"] = {"items": {"$ref": "urn:tidemark:common:v1#/$defs/text"}}
    edit(copy / "common/v1.json", **common)
    with pytest.raises(ContractInvalid, match="lead in a circle"):
        catalogue(copy)


@pytest.mark.parametrize("text", ["[]", "{", '{"message": {}}', '{"expect": {}, "message": {}}', '{"expect": 1}'])
def test_a_sample_that_is_none_is_a_typed_error(copy: Path, text: str) -> None:
    (copy / "page/samples/fail/page-text.json").write_text(text)
    with pytest.raises(ContractInvalid, match=r"page-text\.json"):
        faults(copy)


def test_a_broken_list_of_published_versions_is_a_typed_error(copy: Path) -> None:
    (copy / "published.json").write_text("[]")
    with pytest.raises(ContractInvalid, match=r"events/published\.json: is no JSON object"):
        faults(copy)


def faults(folder: Path) -> list[str]:
    catalogue.cache_clear()
    return [f"{fault.place}: {fault.message}" for fault in own_faults(catalogue(folder))]


def test_an_edited_version_is_found_and_says_what_it_breaks(copy: Path) -> None:
    schema = read_json(copy / "alias/v1.json")
    edit(copy / "alias/v1.json", required=[*schema["required"], "timestamp"])
    [found] = list(evolution_faults(catalogue(copy)))
    assert "alias/v1: was edited after it was published (/: timestamp is now required)" in found
    edit(copy / "alias/v1.json", required=["userId"])
    assert any("nothing that breaks, yet" in fault for fault in faults(copy))


def test_a_description_may_be_reworded(copy: Path) -> None:
    edit(copy / "alias/v1.json", description="Other words.")
    assert faults(copy) == []


def test_a_change_of_what_is_shared_is_found(copy: Path) -> None:
    common = read_json(copy / "common/v1.json")
    common["$defs"]["currency"]["pattern"] = "^[A-Z]{3}$"
    edit(copy / "common/v1.json", **common)
    assert any("was published (/currency: pattern was added or changed)" in fault for fault in faults(copy))
    assert any("product-viewed/samples/pass/odd.json: should pass" in fault for fault in faults(copy))


def test_a_lost_version_a_gap_and_a_breaking_version_are_found(copy: Path) -> None:
    schema = read_json(copy / "alias/v1.json") | {"$id": "urn:tidemark:event:alias:v2"}
    (copy / "alias/v2.json").write_text(json.dumps(schema | {"required": ["previousId", "userId", "anonymousId"]}))
    found = faults(copy)
    assert any("alias/v2: breaks alias/v1: /: anonymousId is now required" in fault for fault in found)
    assert any("alias/v2: is not published" in fault for fault in found)
    (copy / "alias/v1.json").unlink()
    found = faults(copy)
    assert any("its file is gone" in fault for fault in found)
    assert any("without a gap" in fault for fault in found)


def test_samples_that_do_not_do_what_they_say_are_found(copy: Path) -> None:
    edit(copy / "alias/samples/pass/odd.json", userId=None)
    edit(copy / "alias/samples/fail/long-id.json", expect={"pointer": "/userId", "keyword": "pattern"})
    shutil.rmtree(copy / "page/samples/fail")
    found = faults(copy)
    assert any("alias/samples/pass/odd.json: should pass" in fault for fault in found)
    assert any("alias/samples/fail/long-id.json: was expected and not found" in fault for fault in found)
    assert any("page: has no sample that should fail" in fault for fault in found)


def test_shape_keeps_properties_that_are_called_like_annotations() -> None:
    properties = {"title": {"type": "string", "description": "x"}, "x-a": {}}
    schema = {"title": "t", "description": "d", "x-pii": "none", "properties": properties}
    assert shape(schema) == {"title": "t", "properties": {"title": {"type": "string"}, "x-a": {}}}
