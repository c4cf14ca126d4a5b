"""The installation's secret: the key under which fingerprints are made.

It is never rotated: with another secret, copies of old events would no longer be recognised as copies.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from contracts.errors import SettingInvalid

VARIABLE: Final = "TIDEMARK_SECRET"
FILE_NAME: Final = "secret"
_FEWEST_CHARACTERS: Final = 16
_MADE_BYTES: Final = 32


def installation_secret(home: Path) -> bytes:
    """The secret of the installation whose state lies in `home`.

    It is the text of `TIDEMARK_SECRET`, else of the file `<home>/secret`, which is made (32 random bytes as hex,
    readable by its owner only) where there is none. Processes that start together agree on one.

    Raises `SettingInvalid` where the text is too short or the file cannot be used.
    """
    if given := os.environ.get(VARIABLE, "").strip():
        return _checked(given, f"Set {VARIABLE} to at least {_FEWEST_CHARACTERS} characters, or unset it.", VARIABLE)
    path = home / FILE_NAME
    try:
        if not path.exists():
            _make(path)
        text = path.read_text("ascii").strip()
    except (OSError, UnicodeError) as error:
        raise SettingInvalid(f"{path} cannot be used as the secret.", "Make it readable, or restore it.") from error
    return _checked(text, "Restore it from a backup: a new secret would not recognise copies of old events.", str(path))


@contextlib.contextmanager
def drafted(path: Path, content: bytes) -> Iterator[Path]:
    """A file beside `path` that only its owner can read, written out whole; gone afterwards where it is still there."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(file, "wb") as draft_file:
            draft_file.write(content)
            draft_file.flush()
            os.fsync(draft_file.fileno())
        yield draft
    finally:
        draft.unlink(missing_ok=True)


def _make(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # A link appears whole or not at all, and never replaces: another process may be doing the same.
    with drafted(path, f"{secrets.token_hex(_MADE_BYTES)}\n".encode()) as draft, contextlib.suppress(FileExistsError):
        os.link(draft, path)


def _checked(text: str, remedy: str, name: str) -> bytes:
    if len(text) < _FEWEST_CHARACTERS:
        raise SettingInvalid(f"The secret of {name} is too short.", remedy)
    return text.encode()
