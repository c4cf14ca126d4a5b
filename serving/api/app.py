"""The API: merged views with filters, SQL, status, health and metrics. Every answer carries `as_of`."""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import pyarrow as pa
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from contracts.errors import TidemarkError
from contracts.settings import Settings
from serving.api import query
from serving.api.catalog import Described, describe, description_of
from serving.api.metrics import Metrics
from serving.api.problems import Problem
from serving.api.refresher import Refresher
from serving.client import TIMEOUT_SECONDS, Tidemark
from serving.rows import dumps, kind_of, to_rows, unique
from serving.status import status

LARGEST_BODY_BYTES: Final = 100_000
LARGEST_ANSWER_BYTES: Final = 64 * 2**20
_LOG: Final = structlog.stdlib.get_logger("serving.api")


class Api:
    """The endpoints over one installation's merged views."""

    def __init__(self, settings: Settings, refresher: Refresher, metrics: Metrics) -> None:
        self._settings, self._refresher, self._metrics = settings, refresher, metrics
        self._described: dict[str, Described] = {}

    def views(self) -> Response:
        """Every view: what it says, its time column, its columns with types and meanings."""
        views = [view.to_json() for view in self._views().values()]
        return _json({"as_of": self._refresher.as_of, "views": views})

    def query(self, view: str, request: Request) -> Response:
        """Rows of a view.

        `from` and `to` (ISO 8601, `from <= time < to`), `<column>=value` (again for any of several, empty for null),
        `columns=a,b`, `order_by=-views,product_id`, `limit` (1,000; at most 10,000), `group_by=a,b` (the rest is
        summed).
        """
        asked = query.build(self._view(view), request.query_params.multi_items())
        return self._answer(asked.sql, asked.parameters, asked.limit, view)

    async def sql(self, request: Request) -> Response:
        """Rows of one SELECT over the views: `{"query": "SELECT ...", "parameters": [...]}`; at most 10,000."""
        text, parameters = _statement(await _body(request))
        return await run_in_threadpool(self._answer, text, parameters, query.LARGEST_LIMIT, "")

    def status(self) -> Response:
        """What is published, how far each part has come, and what is wrong. Works when the store does not."""
        found = status(self._settings, datetime.now(UTC))
        trouble = self._refresher.trouble
        api = {
            "as_of": self._refresher.as_of,
            "is_fresh": trouble is None,
            "trouble": str(trouble) if trouble else None,
            "remedy": trouble.remedy if trouble else None,
        }
        return _json({**api, **found})

    def health(self) -> Response:
        """200 while the merged views follow the store; otherwise 503 with the remedy."""
        if trouble := self._refresher.trouble:
            raise Problem.of(trouble)
        return _json({"status": "ok", "as_of": self._refresher.as_of})

    def metrics(self) -> Response:
        """The figures, in Prometheus' text format."""
        return Response(generate_latest(self._metrics.registry), headers={"content-type": CONTENT_TYPE_LATEST})

    def problem(self, error: Exception) -> Response:
        """The answer to a request that failed."""
        if isinstance(error, TidemarkError):
            error = Problem.of(error)
        elif isinstance(error, HTTPException):
            error = _unknown_endpoint(error.status_code)
        elif not isinstance(error, Problem):
            error = Problem(500, "fault", "The API has a fault.", "Ask again; report it if it stays.")
        return error.answer(self._refresher.as_of)

    def _views(self) -> dict[str, Described]:
        self._described = self._described or describe(self._refresher.views)
        return self._described

    def _view(self, name: str) -> Described:
        views = self._views()
        if name not in views:
            remedy = f"Ask for one of {', '.join(views)}; GET /v1/views describes them."
            raise Problem(404, "unknown-view", f"There is no view {name[:100]!r}.", remedy, views=list(views))
        return views[name]

    def _answer(self, sql: str, parameters: list[Any], limit: int, view: str) -> Response:
        table, as_of = self._refresher.views.answer(
            sql, parameters, timeout_seconds=TIMEOUT_SECONDS, most_rows=limit + 1
        )
        shown = table.slice(0, limit)
        _check_size(shown)
        names = unique(shown.column_names)
        columns = [
            {"name": name, "type": kind_of(kind), "description": description_of(view, name)}
            for name, kind in zip(names, shown.schema.types, strict=True)
        ]
        more = table.num_rows > limit
        return _json({"as_of": as_of, "columns": columns, "rows": to_rows(shown), "is_truncated": more})


def create_app(settings: Settings, tm: Tidemark | None = None) -> FastAPI:
    """The API as an ASGI application. Without `tm` it opens the installation's store as soon as there is one.

    Its lifespan keeps the views fresh; `app.state.refresher.step()` does so by hand.
    """
    metrics = Metrics()
    refresher = Refresher(settings, tm, metrics)
    api = Api(settings, refresher, metrics)
    _watch(metrics, refresher)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        refresher.start()
        yield
        await run_in_threadpool(refresher.stop)

    app = FastAPI(title="Tidemark", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url="/v1/openapi.json")
    app.state.refresher = refresher
    app.state.metrics = metrics
    routes: Mapping[str, Callable[..., Any]] = {
        "/v1/views": api.views,
        "/v1/query/{view}": api.query,
        "/v1/status": api.status,
        "/healthz": api.health,
        "/metrics": api.metrics,
    }
    for path, endpoint in routes.items():
        app.add_api_route(path, endpoint, methods=["GET"], response_class=Response)
    app.add_api_route("/v1/sql", api.sql, methods=["POST"], response_class=Response)
    for kind in (TidemarkError, Problem, HTTPException, Exception):
        app.add_exception_handler(kind, _handler(api))
    app.add_middleware(Measured, metrics=metrics)
    return app


class Measured:
    """Counts and times requests by the endpoint's own path."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: D102 - ASGI's
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status_code = time.perf_counter(), 500

        async def noting(message: Message) -> None:
            nonlocal status_code
            status_code = message.get("status", status_code)
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            endpoint = getattr(scope.get("route"), "path", "unknown")
            self._metrics.requests.labels(endpoint, status_code).inc()
            self._metrics.request_seconds.labels(endpoint).observe(time.perf_counter() - began)


def _watch(metrics: Metrics, refresher: Refresher) -> None:
    def of(value: Callable[[Tidemark], float]) -> Callable[[], float]:
        def known() -> float:
            try:
                return value(refresher.views)
            except TidemarkError:
                return math.nan

        return known

    def age(moment: datetime | None) -> float:
        return (datetime.now(UTC) - moment).total_seconds() if moment else math.nan

    metrics.watch("seconds_behind", "Age of the last micro-batch in answers.", of(lambda t: age(t.as_of.live_through)))
    metrics.watch("seconds_unchecked", "Since the store was last read.", lambda: refresher.seconds_unchecked)
    metrics.watch("as_of_batch", "Last micro-batch in answers.", of(lambda t: t.as_of.batch or 0))
    metrics.watch("speed_rows", "Rows held of what lies behind the cut.", of(lambda t: t.speed_rows()))
    batch_age = "Age of the published run's cut."
    metrics.watch("published_run_age_seconds", batch_age, of(lambda t: age(t.as_of.batch_through)))


def _unknown_endpoint(status_code: int) -> Problem:
    kinds = {404: ("endpoint-unknown", "There is no such endpoint.")}
    kinds[405] = ("method-not-allowed", "The endpoint does not take this method.")
    kind, detail = kinds.get(status_code, ("request-invalid", "The request cannot be answered."))
    remedy = "Use GET /v1/views, /v1/query/<view>, /v1/status, /healthz, /metrics, or POST /v1/sql."
    return Problem(status_code, kind, detail, remedy)


def _handler(api: Api) -> Callable[[Request, Exception], Response]:
    def handle(_request: Request, error: Exception) -> Response:
        return api.problem(error)

    return handle


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_BODY_BYTES:
            raise Problem(413, "too-large", "The query is too large.", f"Send at most {LARGEST_BODY_BYTES:,} bytes.")
    return bytes(body)


def _statement(body: bytes) -> tuple[str, list[Any]]:
    try:
        given = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        given = None
    text = given.get("query") if isinstance(given, dict) else None
    parameters = given.get("parameters", []) if isinstance(given, dict) else []
    is_plain = isinstance(parameters, list) and all(isinstance(p, str | int | float | None) for p in parameters)
    if not isinstance(text, str) or not is_plain:
        remedy = (
            'Send JSON: {"query": "SELECT ...", "parameters": [...]}; parameters are texts, numbers, true or false.'
        )
        raise Problem(400, "bad-body", "The body is not a query.", remedy)
    return text, parameters


def _check_size(table: pa.Table) -> None:
    if table.nbytes > LARGEST_ANSWER_BYTES:
        detail = f"The answer takes {table.nbytes:,} bytes."
        raise Problem(400, "too-large", detail, "Ask for fewer rows or columns, as by limit and columns.")


def _json(content: Mapping[str, Any]) -> Response:
    return Response(dumps(content), media_type="application/json")
