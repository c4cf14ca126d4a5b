"""Reads a text log line by line, plain or gzip, whatever its size and however it ends."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final, NamedTuple, cast

from speed_layer.replay.message import BadRow, ReplayFileMissing, ReplayFileUnreadable

LONGEST_LINE_BYTES: Final = 64 * 1024
_SAMPLE_BYTES: Final = 1024 * 1024
# zlib's code for "a gzip header, and the largest window".
_GZIP_WINDOW: Final = 31


class Line(NamedTuple):
    """One line without its terminator. `number` counts from 1; `is_terminated` is False only where the file ends."""

    number: int
    text: bytes
    is_terminated: bool


def existing_file(path: Path) -> Path:
    """`path`, if it is a file. Raises ReplayFileMissing or ReplayFileUnreadable."""
    if not path.exists():
        raise ReplayFileMissing(f"There is no replay file {path}.", "Check the path, or use the source `sim`.")
    if not path.is_file():
        raise ReplayFileUnreadable(f"{path} is not a file.", "Name the log file itself, not its folder.")
    return path


def read_lines(path: Path) -> Iterator[Line | BadRow]:
    """Every line of the file, in order, in constant memory.

    A line longer than `LONGEST_LINE_BYTES` and the place where a gzip file breaks off are a BadRow.
    Raises ReplayFileMissing or ReplayFileUnreadable before the first line.
    """
    number = 0
    with _open(existing_file(path), is_unpacked=True) as file:
        while True:
            number += 1
            try:
                text = file.readline(LONGEST_LINE_BYTES)
                if len(text) == LONGEST_LINE_BYTES and not text.endswith(b"\n"):
                    _skip_line(file)
                    yield BadRow(number, f"longer than {LONGEST_LINE_BYTES} bytes")
                    continue
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                if number == 1:
                    raise _not_gzip(path) from error
                yield BadRow(number, "the compressed file breaks off here")
                return
            if not text:
                return
            yield Line(number, text.rstrip(b"\r\n"), text.endswith(b"\n"))


def estimate_lines(path: Path) -> int:
    """How many lines the file has: exact where 1 MiB of it is all, else by that sample's mean line length.

    Raises ReplayFileMissing or ReplayFileUnreadable.
    """
    size = existing_file(path).stat().st_size
    with _open(path, is_unpacked=False) as file:
        sample = file.read(_SAMPLE_BYTES)
    try:
        text = zlib.decompressobj(_GZIP_WINDOW).decompress(sample) if _is_gzip(path) else sample
    except zlib.error as error:
        raise _not_gzip(path) from error
    if len(sample) == size:
        return text.count(b"\n") + (text != b"" and not text.endswith(b"\n"))
    return text.count(b"\n") * size // len(sample)


def _is_gzip(path: Path) -> bool:
    return path.suffix == ".gz"


def _open(path: Path, *, is_unpacked: bool) -> IO[bytes]:
    try:
        return cast("IO[bytes]", gzip.open(path)) if is_unpacked and _is_gzip(path) else path.open("rb")
    except OSError as error:
        raise ReplayFileUnreadable(f"{path} cannot be read: {error.strerror}.", "Make the file readable.") from error


def _skip_line(file: IO[bytes]) -> None:
    while (text := file.readline(LONGEST_LINE_BYTES)) and not text.endswith(b"\n"):
        pass


def _not_gzip(path: Path) -> ReplayFileUnreadable:
    return ReplayFileUnreadable(f"{path} is not a gzip file.", "Rename it without `.gz`, or download it again.")
