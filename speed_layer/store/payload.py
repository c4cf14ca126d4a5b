"""A block's payload: one Arrow IPC stream, compressed as a whole."""

from __future__ import annotations

import pyarrow as pa

from contracts.algebra import naive

# Whole-stream, not per buffer: the schema of a nested table is most of a small block, and it compresses well.
_CODEC = "zstd"


def encode(table: pa.Table) -> bytes:
    """The table as a payload. UTC instants become naive timestamps, the form inside the algebra."""
    plain = naive(table).combine_chunks()
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, _CODEC) as stream, pa.ipc.new_stream(stream, plain.schema) as writer:
        writer.write_table(plain)
    return bytes(sink.getvalue())


def decode(payload: bytes) -> pa.Table:
    """The table `encode` was given, with naive UTC timestamps."""
    with pa.CompressedInputStream(pa.BufferReader(payload), _CODEC) as stream, pa.ipc.open_stream(stream) as reader:
        return reader.read_all()
