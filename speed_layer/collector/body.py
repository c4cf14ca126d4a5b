"""The request's body: read, unpacked, and never larger than its limit, packed or not."""

from __future__ import annotations

import asyncio
import zlib
from typing import Final

from starlette.requests import ClientDisconnect, Request

from speed_layer.collector.answers import Problem

TOO_LARGE: Final = "too-large"
SLOWEST_BODY_SECONDS: Final = 30.0
# zlib's code for "a gzip header, and the largest window".
_GZIP_WINDOW: Final = 31


async def read_body(request: Request, limit: int) -> bytes:
    """The body after decompression. Raises `Problem`: 400, 408, 413 or 415."""
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in {"identity", "gzip", "x-gzip", ""}:
        raise Problem(
            415,
            "encoding-unknown",
            "The body's Content-Encoding is not supported.",
            "Send the body as it is, or with Content-Encoding: gzip.",
        )
    try:
        async with asyncio.timeout(SLOWEST_BODY_SECONDS):
            body = await _received(request, limit)
    except TimeoutError as error:
        raise Problem(408, "body-too-slow", "The body did not arrive in time.", "Send the request again.") from error
    except ClientDisconnect as error:
        raise Problem(400, "body-cut", "The connection ended before the body.", "Send the request again.") from error
    return unpack(body, limit) if "gzip" in encoding else body


def unpack(packed: bytes, limit: int) -> bytes:
    """The content of gzip bytes. Raises `Problem`: 400 where they are not one whole gzip member, 413 over `limit`.

    Never unpacks more than the limit and a byte: a bomb is recognised by its first byte too many.
    """
    member = zlib.decompressobj(_GZIP_WINDOW)
    try:
        content = member.decompress(packed, limit + 1)
    except zlib.error as error:
        raise _broken_gzip() from error
    if len(content) > limit:
        raise too_large(limit)
    if not member.eof or member.unused_data:
        raise _broken_gzip()
    return content


def too_large(limit: int) -> Problem:
    """The problem of a body, or of its content once unpacked, over `limit` bytes."""
    return Problem(
        413,
        TOO_LARGE,
        f"The body exceeds {limit} bytes.",
        "Send at most 32 KB an event and 500 KB a batch, before compression.",
    )


async def _received(request: Request, limit: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        # A body over its limit is still read to its end, unkept: a client that is cut off while it sends sees a
        # broken connection, not our answer.
        if size <= limit:
            chunks.append(chunk)
    if size > limit:
        raise too_large(limit)
    return b"".join(chunks)


def _broken_gzip() -> Problem:
    return Problem(400, "gzip-broken", "The body is not complete gzip data.", "Compress the whole body with gzip.")
