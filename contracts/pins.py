"""Reference data given as a file: rules name it by its content, so that another file is another rule.

A pin is `<sha256 of the content>:<path>`, or empty for none. `semantics_hash` takes the digest and not the path.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

from contracts.errors import ReferenceChanged, SettingInvalid


def pin_of(path: str) -> str:
    """The pin of a file; empty for no path. Raises `SettingInvalid` where it cannot be read."""
    if not path:
        return ""
    try:
        state = Path(path).stat()
        return f"{_digest(path, state.st_mtime_ns, state.st_size)}:{path}"
    except OSError as error:
        raise SettingInvalid(f"{path} cannot be read: {error.strerror}", "Set the path of a file, or none.") from error


def digest_of(pin: str) -> str:
    """The part of a pin that says what is in the file."""
    return pin.partition(":")[0]


def pinned(pin: str) -> tuple[str, bytes] | None:
    """Path and content of the pinned file; None for an empty pin.

    Raises `ReferenceChanged` where the file is gone or no longer what the pin says.
    """
    digest, _, path = pin.partition(":")
    if not path:
        return None
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise ReferenceChanged(f"{path} cannot be read: {error.strerror}", "Put the file back.") from error
    if hashlib.sha256(content).hexdigest() != digest:
        raise ReferenceChanged(
            f"{path} is not the file that these rules were made with",
            "Put it back, or run `tidemark upgrade`: other reference data are another rule.",
        )
    return path, content


@lru_cache(64)
def _digest(path: str, _modified_ns: int, _size: int) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()
