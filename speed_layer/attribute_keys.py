"""The attribute keys of an installation: made, rotated and forgotten, in `<home>/attribute_keys.json`.

The file lists them from the oldest to the newest, which is the present one, as {"id", "key", "made_at"}; only its owner
can read it. `TIDEMARK_ATTRIBUTE_KEY`, where it is set, is the present key instead.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from contracts.errors import SettingInvalid
from contracts.privacy import InstallationKeys, id_of_key
from speed_layer.secret import drafted, installation_secret

VARIABLE: Final = "TIDEMARK_ATTRIBUTE_KEY"
FILE_NAME: Final = "attribute_keys.json"
_FEWEST_CHARACTERS: Final = 16
_MADE_BYTES: Final = 32


class AttributeKey(msgspec.Struct, frozen=True):
    """One key. `made_at` is when, ISO 8601 UTC; empty for the variable's."""

    id: str
    key: str
    made_at: str = ""

    @classmethod
    def of(cls, key: str, made_at: str = "") -> AttributeKey:
        """A key by its text."""
        return cls(id_of_key(key.encode()), key, made_at)


_DECODER: Final = msgspec.json.Decoder(list[AttributeKey])


class KeyRing:
    """The installation's keys, of now: a long-lived process sees a rotation without a restart."""

    def __init__(self, home: Path) -> None:
        self._home, self._path = home, home / FILE_NAME
        # Looked at before it is read: what changes in between is read again.
        self._seen = self._signature()
        self._keys = installation_keys(home)

    def keys(self) -> InstallationKeys:
        """The keys. Where the file is gone, those it had last. Raises `SettingInvalid` where it is damaged."""
        found = self._signature()
        if found not in {None, self._seen}:
            self._keys, self._seen = installation_keys(self._home), found
        return self._keys

    def _signature(self) -> tuple[int, int] | None:
        try:
            found = os.stat(self._path)  # noqa: PTH116 - once a request: the plain call is the cheapest
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns


def installation_keys(home: Path) -> InstallationKeys:
    """The secret and the present attribute key of the installation whose state lies in `home`, made where missing.

    Processes that start together agree. Raises `SettingInvalid` where one of them cannot be used.
    """
    return InstallationKeys(installation_secret(home), present_key(home).key.encode())


def present_key(home: Path) -> AttributeKey:
    """The key that new pseudonyms are made with; made where there is none. Raises `SettingInvalid`."""
    if given := os.environ.get(VARIABLE, "").strip():
        if len(given) < _FEWEST_CHARACTERS:
            remedy = f"Set {VARIABLE} to at least {_FEWEST_CHARACTERS} characters, or unset it."
            raise SettingInvalid(f"The key of {VARIABLE} is too short.", remedy)
        return AttributeKey.of(given)
    if known := known_keys(home):
        return known[-1]
    with _locked(home):
        known = known_keys(home) or [_new(datetime.now(UTC))]
        _write(home, known)
    return known[-1]


def known_keys(home: Path) -> list[AttributeKey]:
    """The keys of the file, the newest last; none where there is no file. Raises `SettingInvalid`."""
    path = home / FILE_NAME
    try:
        known = _DECODER.decode(path.read_bytes()) if path.exists() else []
    except (OSError, msgspec.DecodeError) as error:
        raise _unusable(path) from error
    if any(len(one.key) < _FEWEST_CHARACTERS or one != AttributeKey.of(one.key, one.made_at) for one in known):
        raise _unusable(path)
    return known


def rotate(home: Path, now: datetime) -> AttributeKey:
    """A new present key; the others stay, so that their pseudonyms can still be found. Raises `SettingInvalid`."""
    if os.environ.get(VARIABLE, "").strip():
        raise SettingInvalid(f"The present key is that of {VARIABLE}.", f"Set {VARIABLE} to another key to rotate it.")
    with _locked(home):
        known = [*known_keys(home), _new(now)]
        _write(home, known)
    return known[-1]


def forget(home: Path, key_id: str) -> AttributeKey:
    """Delete an old key for good. Raises `SettingInvalid` where there is none of that id, or it is the present one."""
    with _locked(home):
        known = known_keys(home)
        gone = next((one for one in known if one.id == key_id), None)
        if gone is None:
            raise SettingInvalid(f"No attribute key has the id {key_id!r}.", "`tidemark keys list` shows them.")
        if gone == known[-1]:
            raise SettingInvalid(f"{key_id} is the newest key.", "`tidemark keys rotate` first.")
        _write(home, [one for one in known if one is not gone])
    return gone


def _new(now: datetime) -> AttributeKey:
    made_at = now.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return AttributeKey.of(secrets.token_hex(_MADE_BYTES), made_at)


@contextmanager
def _locked(home: Path) -> Iterator[None]:
    """Alone among the processes that change the keys. Raises `SettingInvalid` where the file cannot be written."""
    try:
        home.mkdir(parents=True, exist_ok=True)
        folder = os.open(home, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)
    except OSError as error:
        raise _unusable(home / FILE_NAME) from error


def _write(home: Path, known: Sequence[AttributeKey]) -> None:
    """Whole or not at all."""
    path = home / FILE_NAME
    with drafted(path, msgspec.json.format(msgspec.json.encode(known), indent=1) + b"\n") as draft:
        draft.replace(path)


def _unusable(path: Path) -> SettingInvalid:
    return SettingInvalid(
        f"{path} cannot be used for the attribute keys.",
        "Make it readable, or restore it. Where it is lost, move it away: a new key is made, old ones stay unlinked.",
    )
