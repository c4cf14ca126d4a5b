"""Which record was the first of its copies: live's memory, in RocksDB, asked by Spark's workers over a socket.

A key is remembered with the place (partition, offset) of its first record, and a record is kept when that place is its
own. So asking twice, as a task or a whole micro-batch that runs again does, gives the same answer twice, and the memory
may be ahead of Spark's checkpoint, never behind it.

Keys of one horizon are one folder; a look-up reads this and the one before; what is older is deleted as a whole. The
cost of a look-up does not depend on how many keys are held.
"""

from __future__ import annotations

import os
import shutil
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from typing import Any

import pyarrow as pa
from rocksdict import BlockBasedOptions, Cache, Options, Rdict, WriteBatch

from contracts.errors import CheckpointLost, TidemarkError
from spark_jobs.stages import from_ipc, to_ipc

KEY_BYTES = 16
_PLACE = struct.Struct("<iqq")
_CACHE_BYTES = 64 * 2**20
_ASKED = ["dedupe_key", "partition", "offset"]

Address = tuple[tuple[str, int], bytes]


class Seen:
    """The keys of one generation, in `folder`. One process has it open; any of its threads may ask."""

    def __init__(self, folder: Path, horizon_seconds: int) -> None:
        self._folder, self._horizon_ms = folder, horizon_seconds * 1000
        self._lock = threading.Lock()
        self._cache = Cache(_CACHE_BYTES)
        self._now, self._era = 0, -1
        self._current: Rdict | None = None
        self._before: Rdict | None = None
        folder.mkdir(parents=True, exist_ok=True)

    def begin(self, time_ms: int) -> None:
        """Set the clock: of the micro-batch whose records are asked about next. Forgets what is out of the horizon.

        Raises `CheckpointLost` where a folder cannot be read, `TidemarkError` where another process has it open.
        """
        with self._lock:
            self._now, era = time_ms, time_ms // self._horizon_ms
            if era != self._era:
                self._close()
                self._current, self._before, self._era = self._open(era), self._open(era - 1), era
                for old in (f for f in self._folder.iterdir() if f.name.isdigit() and int(f.name) < era - 1):
                    shutil.rmtree(old)

    def first(self, keys: list[bytes], places: list[tuple[int, int]]) -> list[bool]:
        """Whether each record, at its (partition, offset), is the first of its copies within the horizon."""
        with self._lock:
            if self._current is None or self._before is None:
                raise RuntimeError("begin a micro-batch first")
            known = _found(self._current, keys)
            unknown = [i for i, found in enumerate(known) if found is None]
            for i, found in zip(unknown, _found(self._before, [keys[i] for i in unknown]), strict=True):
                known[i] = found
            fresh: dict[bytes, bytes] = {}
            kept = [self._is_first(*asked, fresh) for asked in zip(keys, places, known, strict=True)]
            if fresh:
                batch = WriteBatch(raw_mode=True)
                for key, place in fresh.items():
                    batch.put(key, place)
                self._current.write(batch)
            return kept

    def _is_first(self, key: bytes, place: tuple[int, int], known: bytes | None, fresh: dict[bytes, bytes]) -> bool:
        found = fresh.get(key, known)
        if found is not None:
            partition, offset, since = _PLACE.unpack(found)
            if (partition, offset) == place:
                return True
            if self._now - since <= self._horizon_ms:
                return False
        fresh[key] = _PLACE.pack(*place, self._now)
        return True

    def sync(self) -> None:
        """Until this returns, a power cut may forget what was learnt. Ask before the micro-batch is recorded."""
        with self._lock:
            if self._current is not None:
                self._current.flush_wal(sync=True)

    @property
    def bytes(self) -> int:
        """What it takes on disk; files that go while it counts count for nothing."""
        found = 0
        for file in self._folder.rglob("*"):
            with suppress(FileNotFoundError):
                found += file.stat().st_size
        return found

    def close(self) -> None:
        """Let another process open it."""
        with self._lock:
            self._close()
            self._era = -1

    def _close(self) -> None:
        for held in (self._current, self._before):
            if held is not None:
                held.close()
        self._current = self._before = None

    def _open(self, era: int) -> Rdict:
        path = self._folder / str(era)
        try:
            return Rdict(str(path), options=_options(self._cache))
        except Exception as error:
            if "lock" in str(error).lower():
                why = f"Another live query has {path} open"
                raise TidemarkError(why, "Stop the other one: an installation has one live query.") from error
            remedy = "Start a new generation with `tidemark generations new`: bronze and Kafka hold it all."
            raise CheckpointLost(f"The keys that live has seen cannot be read: {error}", remedy) from error


class Server:
    """Answers Spark's workers out of one `Seen`, for as long as the process lives."""

    def __init__(self, seen: Seen, host: str = "127.0.0.1") -> None:
        self._seen, self._secret = seen, os.urandom(32)
        self._listener = Listener((host, 0), authkey=self._secret)
        threading.Thread(target=self._accept, name="seen", daemon=True).start()

    @property
    def address(self) -> Address:
        """Where workers ask, and the secret that lets them."""
        host, port = self._listener.address
        return (str(host), int(port)), self._secret

    def close(self) -> None:
        """Take no new connections."""
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection = self._listener.accept()
            except OSError:
                return
            except Exception:  # noqa: BLE001, S112 - a stranger that does not know the secret
                continue
            threading.Thread(target=self._serve, args=(connection,), name="seen-worker", daemon=True).start()

    def _serve(self, connection: Connection) -> None:
        with connection:
            while True:
                try:
                    asked = connection.recv_bytes()
                except (EOFError, OSError):
                    return
                try:
                    answer = b"+" + _answer(self._seen, asked)
                except Exception as error:  # noqa: BLE001 - the worker's task fails with it
                    answer = b"-" + str(error).encode()
                connection.send_bytes(answer)


def firsts(address: Address) -> Callable[[pa.Table], pa.Table]:
    """A filter of records (`RECORD`) that keeps the first of each one's copies, as the server at `address` knows them.

    Records without a deduplication key are never copies. To be called in the order of offsets within a partition.
    """
    return partial(_filter, address)


def _filter(address: Address, records: pa.Table) -> pa.Table:
    connection = _connection(address)
    connection.send_bytes(to_ipc(records.select(_ASKED)))
    answer = connection.recv_bytes()
    if answer[:1] != b"+":
        raise RuntimeError(f"The memory of copies failed: {answer[1:].decode()}")
    return records.filter(pa.array([kept == 1 for kept in answer[1:]], pa.bool_()))


@cache
def _connection(address: Address) -> Connection:
    """One a worker: it lives as long as the process."""
    place, secret = address
    return Client(place, authkey=secret)


def _answer(seen: Seen, asked: bytes) -> bytes:
    table = from_ipc(asked)
    keys, partitions, offsets = (table[name].to_pylist() for name in _ASKED)
    stamped = [i for i, key in enumerate(keys) if key is not None and len(key) == KEY_BYTES]
    kept = bytearray(b"\x01" * len(keys))
    found = seen.first([keys[i] for i in stamped], [(partitions[i], offsets[i]) for i in stamped]) if stamped else []
    for i, is_first in zip(stamped, found, strict=True):
        kept[i] = is_first
    return bytes(kept)


def _found(memory: Rdict, keys: list[bytes]) -> list[bytes | None]:
    many: Any = keys
    return list(memory[many] or ())


def _options(cache_: Cache) -> Options:
    options, blocks = Options(raw_mode=True), BlockBasedOptions()
    options.create_if_missing(create_if_missing=True)
    options.set_write_buffer_size(32 * 2**20)
    options.set_keep_log_file_num(2)
    blocks.set_bloom_filter(10, block_based=False)
    blocks.set_block_cache(cache_)
    blocks.set_cache_index_and_filter_blocks(v=True)
    options.set_block_based_table_factory(blocks)
    return options
