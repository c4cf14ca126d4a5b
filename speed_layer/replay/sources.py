"""Opens a replay source from one line of text, as the command line and the demo take it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Protocol

from speed_layer.replay.lines import existing_file
from speed_layer.replay.message import ReplayFileMissing, SourceItem, SourceOptionInvalid, SourceUnknown
from speed_layer.replay.rees46 import VISITORS, Visitor, estimate_rees46, read_rees46
from speed_layer.replay.simulator import SimulatorConfig, Truth, estimated_message_count, simulate


class Source(Protocol):
    """Something that can be replayed.

    `name` is for people. `total` is about how many items `messages` will yield (None: unknown). `truth` is the
    hidden truth, where the source has one; it is complete once the newest `messages` are exhausted.
    """

    @property
    def name(self) -> str:
        """What answers and logs call the source."""

    @property
    def total(self) -> int | None:
        """How many items there will be, where that is known."""

    @property
    def truth(self) -> Truth | None:
        """What a simulated world knows of itself."""

    def messages(self) -> Iterator[SourceItem]:
        """From the first item on, anew at every call."""
        ...


class SimulatorSource:
    """The simulated shop. `config` says which."""

    def __init__(self, config: SimulatorConfig) -> None:
        self.config = config
        self.name = f"simulated shop, seed {config.seed}"
        self.total: int | None = estimated_message_count(config)
        self.truth: Truth | None = None

    def messages(self) -> Iterator[SourceItem]:
        """The world from its beginning, with a new `truth`."""
        self.truth = Truth()
        return simulate(self.config, self.truth)


class Rees46Source:
    """A REES46 log. Raises ReplayFileMissing, ReplayFileUnreadable, SourceOptionInvalid at once."""

    truth: Truth | None = None

    def __init__(self, path: Path, visitor: Visitor = "user_id") -> None:
        if visitor not in VISITORS:
            raise SourceOptionInvalid(f"There is no visitor column {visitor!r}.", f"Use {' or '.join(VISITORS)}.")
        self.path, self.visitor = existing_file(path), visitor
        self.name = f"REES46 log {path.name}, visitor = {visitor}"
        self.total: int | None = estimate_rees46(path)

    def messages(self) -> Iterator[SourceItem]:
        """The file's rows in order."""
        return read_rees46(self.path, self.visitor)


def open_source(spec: str, **options: object) -> Source:
    """The source that `spec` names.

    * `sim`, `sim:visitors=500,days=2,seed=3`: the simulator; options are the fields of `SimulatorConfig`.
    * `rees46:PATH`, `rees46:PATH?visitor=user_session`: a REES46 log, `.csv` or `.csv.gz`.

    `options` win over those in the text. Raises SourceUnknown, SourceOptionInvalid, ReplayFileMissing,
    ReplayFileUnreadable.
    """
    name, _, rest = spec.partition(":")
    if name not in _OPENERS:
        raise SourceUnknown(f"There is no replay source {name!r}.", f"Use one of: {', '.join(SOURCE_FORMS)}.")
    return _OPENERS[name](rest, options)


def _open_simulator(rest: str, options: dict[str, object]) -> Source:
    given = _pairs(rest, ",") | options
    unknown = given.keys() - _SIMULATOR_OPTIONS.keys()
    if unknown:
        raise SourceOptionInvalid(
            f"The simulator has no option {', '.join(sorted(unknown))}.", f"It has: {', '.join(_SIMULATOR_OPTIONS)}."
        )
    return SimulatorSource(SimulatorConfig(**{name: _value(name, value) for name, value in given.items()}))


def _open_rees46(rest: str, options: dict[str, object]) -> Source:
    path, mark, query = rest.rpartition("?")
    # A `?` may also be part of the path.
    if not mark or "=" not in query:
        path, query = rest, ""
    given = _pairs(query, "&") | options
    if not path:
        raise ReplayFileMissing("The source rees46 needs a file.", "Write rees46:PATH.")
    if given.keys() - {"visitor"}:
        raise SourceOptionInvalid(f"rees46 has no option {', '.join(sorted(given))}.", "It has: visitor.")
    return Rees46Source(Path(path).expanduser(), **given)  # type: ignore[arg-type]


def _pairs(text: str, separator: str) -> dict[str, object]:
    pairs: dict[str, object] = {}
    for part in filter(None, text.split(separator)):
        name, equals, value = part.partition("=")
        if not equals:
            raise SourceOptionInvalid(f"{part!r} is not an option.", "Write options as name=value.")
        pairs[name.strip()] = value.strip()
    return pairs


def _value(name: str, value: object) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return _SIMULATOR_OPTIONS[name](value)
    except ValueError as error:
        raise SourceOptionInvalid(f"{name}={value} cannot be read.", "Write a number, or for start a date.") from error


def _utc(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _reader(name: str) -> Callable[[str], object]:
    if name == "start":
        return _utc
    return float if name.endswith("_rate") else int


_SIMULATOR_OPTIONS: Final = {field.name: _reader(field.name) for field in fields(SimulatorConfig)}
_OPENERS: Final = {"sim": _open_simulator, "rees46": _open_rees46}
SOURCE_FORMS: Final = ("sim", "sim:NAME=VALUE,...", "rees46:PATH", "rees46:PATH?visitor=user_session")
