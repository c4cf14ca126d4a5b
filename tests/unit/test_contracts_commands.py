"""`tidemark contracts`: what it prints, writes and exits with."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml
from open_data_contract_standard.model import OpenDataContractStandard
from typer.testing import CliRunner

from contracts.dictionary import Pii, by_pointer
from contracts.errors import ContractInvalid
from contracts.schemas import EVENTS, Catalogue, catalogue, read_json
from infra.cli import app
from infra.contracts_export import described, fields_of, markdown, odcs

KNOWN = catalogue()
GOOD = {"type": "track", "event": "Order Completed", "anonymousId": "a", "properties": {"order_id": "O-1", "total": 5}}
CUSTOM = GOOD | {"event": "Tea Poured"}
BAD = GOOD | {"properties": {"total": "five"}}


def run(*words: str, fails: int = 0) -> str:
    result = CliRunner().invoke(app, ["contracts", *words], env={"COLUMNS": "200"})
    if isinstance(result.exception, ContractInvalid):
        raise result.exception
    assert result.exit_code == fails, result.output
    return result.output


def answer(*words: str, fails: int = 0) -> Any:
    return json.loads(run(*words, "--json", fails=fails))


@pytest.mark.parametrize("command", ["show", "check", "publish", "export"])
def test_every_command_has_help(command: str) -> None:
    assert "Usage" in run(command, "--help")


def test_show_lists_the_events() -> None:
    assert {row["event"] for row in answer("show")} == {schema.event for schema in KNOWN.events}
    assert "order-completed" in run("show")


@pytest.mark.parametrize("name", ["order-completed", "Order Completed"])
def test_show_describes_one(name: str) -> None:
    said = answer("show", name)
    order_id = said["properties"]["properties"]["properties"]["order_id"]
    assert order_id["description"] == by_pointer()["/properties/order_id"].description
    assert order_id["x-pii"] == "pseudonymous"
    assert "/properties/order_id" in run("show", name)


def test_show_of_an_unknown_event_is_a_typed_error() -> None:
    with pytest.raises(ContractInvalid, match="no event is called 'tea'"):
        run("show", "tea")


def test_check_of_the_contracts_themselves() -> None:
    assert answer("check") == {"ok": True, "findings": []}


def test_check_of_json_lines_names_file_and_line(tmp_path: Path) -> None:
    file = tmp_path / "messages.jsonl"
    file.write_text("\n".join([json.dumps(GOOD), "", json.dumps(CUSTOM), json.dumps(BAD), "{broken", "[1]"]))
    found = answer("check", str(file), fails=1)["findings"]
    assert [(f["place"], f["pointer"], f["keyword"]) for f in found] == [
        (f"{file}:3", "/event", "unknown_event"),
        (f"{file}:4", "/properties", "required"),
        (f"{file}:4", "/properties/total", "pattern"),
        (f"{file}:5", "", "json"),
        (f"{file}:6", "", "json"),
    ]
    shown = run("check", str(file), fails=1)
    assert "messages.jsonl:4" in shown.replace("\n", "")
    assert "4 findings, 1 notes" in shown


@pytest.mark.parametrize("text", [json.dumps([GOOD, CUSTOM]), json.dumps(GOOD, indent=1), json.dumps(CUSTOM), ""])
def test_good_files_and_custom_events_pass(tmp_path: Path, text: str) -> None:
    (tmp_path / "m.json").write_text(text)
    assert answer("check", str(tmp_path / "m.json"))["ok"]


@pytest.mark.parametrize(
    ("whole", "place"), [([GOOD, BAD], "#/1"), ({"batch": [GOOD, GOOD, BAD]}, "#/batch/2"), (BAD, ":1")]
)
def test_a_message_in_a_list_or_a_batch_is_named(tmp_path: Path, whole: object, place: str) -> None:
    file = tmp_path / "m.json"
    file.write_text(json.dumps(whole, indent=1))
    assert {f["place"] for f in answer("check", str(file), fails=1)["findings"]} == {f"{file}{place}"}


def test_what_has_no_type_fails(tmp_path: Path) -> None:
    (tmp_path / "m.json").write_text("{}")
    assert [f["keyword"] for f in answer("check", str(tmp_path / "m.json"), fails=1)["findings"]] == ["unknown_type"]


def test_a_file_that_cannot_be_read_is_a_typed_error(tmp_path: Path) -> None:
    with pytest.raises(ContractInvalid, match="cannot be read"):
        run("check", str(tmp_path / "none.json"))


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "events"
    shutil.copytree(EVENTS, folder)
    load = catalogue.__wrapped__

    def loaded() -> Catalogue:
        made: Catalogue = load(folder)
        return made

    monkeypatch.setattr("contracts.schemas.catalogue", loaded)
    return folder


def test_publish_pins_a_new_version_and_leaves_the_others(copied: Path) -> None:
    before = (copied / "published.json").read_text()
    assert answer("publish") == []
    assert (copied / "published.json").read_text() == before
    schema = read_json(copied / "alias/v1.json") | {"$id": "urn:tidemark:event:alias:v2"}
    schema["properties"]["reason"] = {"type": "string"}
    (copied / "alias/v2.json").write_text(json.dumps(schema))
    assert answer("publish") == ["alias/v2"]
    assert read_json(copied / "published.json")["alias/v1"] == json.loads(before)["alias/v1"]


def test_publish_refuses_what_breaks(copied: Path) -> None:
    before = (copied / "published.json").read_text()
    schema = read_json(copied / "alias/v1.json")
    v2 = schema | {"$id": "urn:tidemark:event:alias:v2", "required": ["timestamp"]}
    (copied / "alias/v2.json").write_text(json.dumps(v2))
    with pytest.raises(ContractInvalid, match="alias/v2: breaks alias/v1"):
        run("publish")
    (copied / "alias/v2.json").unlink()
    (copied / "alias/v1.json").write_text(json.dumps(schema | {"required": []}))
    with pytest.raises(ContractInvalid, match="alias/v1: was edited after it was published"):
        run("publish")
    assert (copied / "published.json").read_text() == before


def test_exported_schemas_stand_alone_and_judge_alike(tmp_path: Path) -> None:
    assert len(answer("export", "--format", "jsonschema", "--out", str(tmp_path))["files"]) == len(KNOWN.events)
    for schema in KNOWN.events:
        exported = read_json(tmp_path / f"{schema.name}.json")
        assert "$ref" not in json.dumps(exported)
        validator = jsonschema_rs.Draft202012Validator(exported)
        samples = EVENTS / schema.slug / "samples"
        assert all(validator.is_valid(read_json(path)) for path in samples.glob("pass/*.json"))
        assert not any(validator.is_valid(read_json(path)["message"]) for path in samples.glob("fail/*.json"))


def test_every_exported_property_carries_its_meaning() -> None:
    for schema in KNOWN.events:
        for pointer, rules, _ in fields_of(Catalogue(EVENTS, (), ()), with_schema(schema)):
            field = by_pointer()[pointer]
            assert (rules["description"], rules["x-pii"]) == (field.description, field.pii.value), pointer


def with_schema(schema: Any) -> Any:
    return type(schema)(schema.slug, schema.version, described(KNOWN, schema))


def test_the_markdown_dictionary_has_every_field() -> None:
    text = markdown(KNOWN)
    assert [pointer for pointer in by_pointer() if f"| `{pointer}` |" not in text] == []
    assert [schema.event for schema in KNOWN.newest() if f"## {schema.event}\n" not in text] == []
    assert run("export", "--format", "markdown") == text


def test_the_odcs_contract_is_one() -> None:
    """Against the standard's own JSON Schema and model, as its maintainers ship them."""
    contract = yaml.safe_load(odcs(KNOWN))
    standard = json.loads(OpenDataContractStandard.json_schema())
    assert {"version", "apiVersion", "kind", "id", "status"} <= set(standard["required"]) | {"status"} <= set(contract)
    assert [error.message for error in jsonschema_rs.validator_for(standard).iter_errors(contract)] == []
    model = OpenDataContractStandard(**contract)
    assert [one.businessName for one in model.schema_ or []] == [schema.event for schema in KNOWN.newest()]
    assert run("export", "--format", "odcs") == odcs(KNOWN)


def test_the_odcs_contract_classifies_every_property() -> None:
    def classes(properties: list[dict[str, Any]]) -> set[str]:
        inner = [p for one in properties for p in (one.get("properties"), one.get("items", {}).get("properties")) if p]
        return {one["classification"] for one in properties}.union(*map(classes, inner))

    objects = yaml.safe_load(odcs(KNOWN))["schema"]
    assert set().union(*(classes(one["properties"]) for one in objects)) == {str(pii) for pii in Pii}


def test_a_folder_that_cannot_be_written_is_a_typed_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ContractInvalid, match="cannot be written"):
        run("export", "--format", "odcs", "--out", str(tmp_path / "file" / "folder"))
