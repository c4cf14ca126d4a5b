"""The ASGI application. On this path Starlette, FastAPI's own base, is enough: nothing here is a declared model."""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from contracts.envelope import LARGEST_BATCH_BYTES, LARGEST_EVENT_BYTES, Stamp, stamped
from contracts.kinds import CALL_TYPES
from contracts.reasons import Reason
from contracts.settings import Settings
from infra import log
from speed_layer.attribute_keys import KeyRing
from speed_layer.collector.admit import Admitted, admit
from speed_layer.collector.answers import PREFLIGHT, Problem, answer, unavailable
from speed_layer.collector.batch import Batch, parse_batch
from speed_layer.collector.body import TOO_LARGE, read_body
from speed_layer.collector.kafka_log import Acknowledging, Headers, Overloaded
from speed_layer.collector.keys import Keys, key_of_body, key_of_header, parse_keys
from speed_layer.collector.metrics import Metrics

# The endpoint and the type it gives its message; in a batch each message has its own. `import` is Segment's other
# name for `batch`, used by its older libraries.
ENDPOINTS: Final[dict[str, str | None]] = {**{name: name for name in CALL_TYPES}, "batch": None, "import": None}
MOST_REQUESTS: Final = 1000
_LONGEST_USER_AGENT: Final = 512
_TRACEPARENT: Final = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}\b")
_LOG: Final = log.get(__name__)

Endpoint = Callable[[Request], Awaitable[Response]]


class Collector:
    """The collector's parts, and what happens to one request. Raises `SettingInvalid` where a setting is unusable."""

    def __init__(self, settings: Settings, producer: Acknowledging, metrics: Metrics) -> None:
        self._keys: Keys = parse_keys(settings.write_keys)
        self._ring = KeyRing(settings.home)
        self._producer = producer
        self._metrics = metrics
        self._open_requests = 0

    def endpoint(self, name: str) -> Endpoint:
        """The handler of `POST /v1/<name>`, counted and timed."""

        async def handle(request: Request) -> Response:
            if request.method == "OPTIONS":
                return Response(status_code=204, headers=PREFLIGHT)
            self._open_requests += 1
            self._metrics.in_flight_requests.inc()
            try:
                response = await self._collect(request, ENDPOINTS[name])
            except Problem as problem:
                response = problem.answer()
                if problem.kind == TOO_LARGE and (call_type := ENDPOINTS[name]):
                    self._metrics.events.labels("rejected", Reason.TOO_LARGE, call_type).inc()
            finally:
                self._open_requests -= 1
                self._metrics.in_flight_requests.dec()
            self._metrics.requests.labels(name, response.status_code).inc()
            return response

        return handle

    async def health(self, _request: Request) -> Response:
        """200 only while Kafka acknowledges."""
        if trouble := await self._producer.trouble():
            return unavailable(trouble).answer()
        return JSONResponse({"status": "ok"})

    async def show_metrics(self, _request: Request) -> Response:
        """The figures, in Prometheus' text format."""
        return Response(generate_latest(self._metrics.registry), headers={"content-type": CONTENT_TYPE_LATEST})

    async def _collect(self, request: Request, call_type: str | None) -> Response:
        if self._open_requests > MOST_REQUESTS:
            raise unavailable("Too many requests are waiting for Kafka.")
        body = await read_body(request, LARGEST_EVENT_BYTES if call_type else LARGEST_BATCH_BYTES)
        self._metrics.body_bytes.inc(len(body))
        source = self._source_of(request, body)
        batch = Batch([body]) if call_type else parse_batch(body)
        admitted = admit(batch.messages, call_type, _stamp(request, source, batch.sent_at), self._ring.keys())
        dispositions = admitted.dispositions
        if admitted.is_any_accepted:
            dispositions = admitted.without(await self._acknowledged(admitted, _record_headers(request)))
        self._metrics.count_events(dispositions, admitted.call_types)
        return answer(dispositions, batch.ignored)

    async def _acknowledged(self, admitted: Admitted, headers: Headers) -> Sequence[int]:
        """Send the records, and return the indexes of those that Kafka did not acknowledge."""
        started = time.perf_counter()
        try:
            lost: Sequence[int] = await self._producer.send(admitted.records, headers)
        except Overloaded:
            self._metrics.kafka_errors.labels("QUEUE_FULL").inc()
            return range(len(admitted.records))
        self._metrics.ack_seconds.observe(time.perf_counter() - started)
        return lost

    def _source_of(self, request: Request, body: bytes) -> str | None:
        header = request.headers.get("authorization")
        key = key_of_body(body) if header is None else key_of_header(header)
        if key is None or key not in self._keys:
            raise Problem(
                401,
                "write-key-unknown",
                "The write key is missing or not one of this installation's.",
                "Send it as the user of HTTP basic authentication, with an empty password, or as the body's writeKey.",
                www_authenticate='Basic realm="tidemark"',
            )
        return self._keys[key]


def create_app(settings: Settings, producer: Acknowledging, metrics: Metrics | None = None) -> Starlette:
    """The collector as an ASGI application; its lifespan starts and closes `producer`.

    Raises `SettingInvalid` where the write keys or the secret cannot be used.
    """
    metrics = metrics or Metrics()
    metrics.watch_queue(producer.in_flight)
    collector = Collector(settings, producer, metrics)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        producer.start()
        _LOG.info("collector started")
        yield
        await asyncio.to_thread(producer.close)

    routes = [Route(f"/v1/{name}", collector.endpoint(name), methods=["POST", "OPTIONS"]) for name in ENDPOINTS]
    routes.append(Route("/healthz", collector.health))
    routes.append(Route("/metrics", collector.show_metrics))
    return Starlette(
        routes=routes,
        lifespan=lifespan,
        exception_handlers={HTTPException: _on_http_error, Exception: _on_fault},
    )


async def _on_http_error(_request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    kind, detail = {
        404: ("endpoint-unknown", "There is no such endpoint."),
        405: ("method-not-allowed", "The endpoint does not take this method."),
    }.get(status, ("request-invalid", "The request cannot be answered."))
    remedy = f"Send POST to /v1/ and one of {', '.join(ENDPOINTS)}; GET to /healthz or /metrics."
    return Problem(status, kind, detail, remedy).answer()


async def _on_fault(_request: Request, _error: Exception) -> Response:
    return Problem(
        500, "fault", "The collector has a fault.", "Send the request again; report it if it stays."
    ).answer()


def _stamp(request: Request, source: str | None, sent_at: str | None) -> Stamp:
    user_agent = request.headers.get("user-agent")
    return Stamp(
        received_at=stamped(datetime.now(UTC)),
        sent_at=sent_at,
        ip=request.client.host if request.client else None,
        user_agent=user_agent[:_LONGEST_USER_AGENT] if user_agent else None,
        source=source,
    )


def _record_headers(request: Request) -> Headers:
    """W3C Trace Context (https://www.w3.org/TR/trace-context/): the sender's trace, else a new one."""
    given = request.headers.get("traceparent", "")
    if not _TRACEPARENT.match(given):
        given = f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"
    return [("traceparent", given.encode())]
