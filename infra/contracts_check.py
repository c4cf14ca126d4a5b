"""Checks the contracts themselves (schemas, samples, evolution) and files of messages against them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contracts.dictionary import by_pointer
from contracts.errors import ContractInvalid
from contracts.schemas import Catalogue, evolution_faults, read_json
from contracts.validation import Finding, findings
from infra.contracts_export import fields_of
from spark_jobs.transforms import leaves


@dataclass(frozen=True, slots=True)
class Fault:
    """One row of the report.

    `place` is a message's file:line (file#pointer in a list), or a file, or a schema's version.
    """

    place: str
    event: str
    pointer: str
    keyword: str
    message: str
    is_note: bool = False


def own_faults(known: Catalogue) -> list[Fault]:
    """What is amiss in the contracts: samples, dictionary and evolution. Empty means sound.

    Raises `ContractInvalid` for a schema that cannot be used at all, or a sample that is none.
    """
    samples = [fault for schema in known.newest() for fault in _sample_faults(known, schema.slug)]
    meanings = [
        Fault(schema.name, schema.event, pointer, "dictionary", "is not in contracts/dictionary.py")
        for schema in known.events
        for pointer, _, _ in fields_of(known, schema)
        if pointer not in by_pointer()
    ]
    steps = [Fault(text.split(":", 1)[0], "", "", "evolution", text) for text in evolution_faults(known)]
    return [*samples, *meanings, *steps]


def message_faults(path: Path) -> Iterator[Fault]:
    """Every finding in a file of messages: one JSON object, a list of them, a collector's batch, or JSON Lines.

    Raises `ContractInvalid` where the file cannot be read.
    """
    for where, message in _messages(path):
        place = f"{path}{where}"
        if not isinstance(message, dict):
            yield Fault(place, "", "", "json", "is not one JSON object")
            continue
        for found in findings(message):
            yield Fault(place, found.event, found.pointer, found.keyword, found.message, found.is_note)


def _messages(path: Path) -> Iterator[tuple[str, Any]]:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ContractInvalid(f"{path}: cannot be read: {error.strerror}", "name a file of messages") from error
    whole = _decode(raw)
    if isinstance(whole, dict) and isinstance(whole.get("batch"), list):
        yield from ((f"#/batch/{n}", message) for n, message in enumerate(whole["batch"]))
    elif isinstance(whole, list):
        yield from ((f"#/{n}", message) for n, message in enumerate(whole))
    elif isinstance(whole, dict):
        yield ":1", whole
    else:
        yield from ((f":{n}", _decode(line)) for n, line in enumerate(raw.split(b"\n"), 1) if line.strip())


def _decode(raw: bytes) -> Any:
    # As the transforms decode it, so that a number is judged by the text it was written in.
    try:
        return leaves.decode(raw)
    except (ValueError, RecursionError):
        return None


def _sample_faults(known: Catalogue, slug: str) -> Iterator[Fault]:
    folder = known.folder / slug / "samples"
    for kind in ("pass", "fail"):
        paths = sorted((folder / kind).glob("*.json"))
        if not paths:
            yield Fault(slug, "", "", "samples", f"has no sample that should {kind}")
        for path in paths:
            yield from (_passes if kind == "pass" else _fails)(known, slug, path)


def _passes(known: Catalogue, slug: str, path: Path) -> Iterator[Fault]:
    for found in findings(_sample(path), folder=known.folder):
        place = f"{slug}/samples/pass/{path.name}"
        yield Fault(place, found.event, found.pointer, found.keyword, f"should pass, yet {found.message}")


def _fails(known: Catalogue, slug: str, path: Path) -> Iterator[Fault]:
    sample, place = _sample(path), f"{slug}/samples/fail/{path.name}"
    try:
        wanted = (sample["expect"]["pointer"], sample["expect"]["keyword"])
        found = findings(sample["message"], folder=known.folder)
    except (KeyError, TypeError, AttributeError) as error:
        raise ContractInvalid(
            f"{place}: not of the form {{expect: {{pointer, keyword}}, message}}", "see others"
        ) from error
    if not any(_is(one, wanted) for one in found):
        where, keyword = wanted
        yield Fault(place, sample["message"].get("event", slug), where, keyword, "was expected and not found")


def _is(found: Finding, wanted: tuple[str, str]) -> bool:
    return (found.pointer, found.keyword) == wanted


def _sample(path: Path) -> dict[str, Any]:
    read_json(path)
    sample = _decode(path.read_bytes())
    if not isinstance(sample, dict):
        raise ContractInvalid(f"{path.name}: a sample is one JSON object", "see the other samples")
    return sample
