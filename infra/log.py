"""Structured logging for every Tidemark process: one JSON object a line, on stderr, times in UTC.

A log line never carries personal data: no ids, addresses or payloads. Name things by counts, reasons and endpoints.
"""

from __future__ import annotations

import logging
import sys
from typing import IO, Any, Final

import structlog
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import EventDict, Processor, WrappedLogger

# They say at INFO what nobody asks for, or what may not be logged: one line a request, with the client's address.
_QUIET: Final = ("uvicorn.access", "httpx", "httpcore", "kafka", "py4j", "urllib3", "asyncio")
# Libraries that bring handlers of their own; without these their lines would come out twice, the first time as text.
_OWN_HANDLERS: Final = ("uvicorn", "uvicorn.error", "uvicorn.access")


def configure(process_name: str, level: int = logging.INFO, stream: IO[str] | None = None) -> None:
    """Send the logs of structlog and of the standard library to `stream` (default: stderr) as JSON lines.

    Every line has `timestamp`, `level`, `logger`, `process` and `event`. Tracebacks come without local variables,
    which may hold payloads. May be called again; the last call holds.
    """
    shared = _shared_processors(process_name)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    logging.root.handlers = [handler]
    logging.root.setLevel(level)
    logging.captureWarnings(capture=True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in _OWN_HANDLERS:
        logging.getLogger(name).handlers = []
        logging.getLogger(name).propagate = True


def _shared_processors(process_name: str) -> list[Processor]:
    def with_process(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event["process"] = process_name
        return event

    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        with_process,
        structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False)),
    ]


def get(name: str) -> Any:
    """A logger: `get(__name__).info("what happened", count=3)`."""
    return structlog.stdlib.get_logger(name)
