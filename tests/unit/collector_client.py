"""The collector without a broker and without a socket, for tests of what it answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from contracts.settings import Settings
from speed_layer.collector.admit import Record
from speed_layer.collector.app import create_app
from speed_layer.collector.kafka_log import Headers, Overloaded

KEY = ("k1", "")


class Taken:
    """Stands for Kafka: notes the records it is given and loses those it is told to."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.headers: list[Headers] = []
        self.lost: list[int] = []
        self.is_full = False
        self.said: str | None = None
        self.is_closed = False

    def start(self) -> None:
        """Nothing to begin."""

    async def send(self, records: Sequence[Record], headers: Headers) -> list[int]:
        if self.is_full:
            raise Overloaded
        self.records += records
        self.headers.append(headers)
        return self.lost

    async def trouble(self) -> str | None:
        return self.said

    def in_flight(self) -> int:
        return 0

    def close(self) -> None:
        self.is_closed = True

    def values(self, topic: str) -> list[dict[str, Any]]:
        """The records of one topic, parsed."""
        return [json.loads(record.value) for record in self.records if record.topic == topic]


class Client:
    """Requests from 203.0.113.77 to a collector whose keys are `k1` (source `web`) and `k2`."""

    def __init__(self, kafka: Taken, home: Path) -> None:
        self.app = create_app(Settings(home=home, write_keys="k1:web, k2"), kafka)

    def request(self, method: str, path: str, **given: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, client=("203.0.113.77", 5000))
            async with httpx.AsyncClient(transport=transport, base_url="http://collector") as client:
                return await client.request(method, path, **given)

        return asyncio.run(ask())

    def post(self, path: str, **given: Any) -> httpx.Response:
        return self.request("POST", path, **given)

    def get(self, path: str) -> httpx.Response:
        return self.request("GET", path)
