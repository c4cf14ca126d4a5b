"""What the API says when it cannot answer: problems as RFC 9457 has them, each with a remedy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from starlette.responses import Response

from contracts.errors import (
    QueryRefused,
    QueryTimeout,
    RulesChanged,
    StoreUnavailable,
    TidemarkError,
    WarehouseDamaged,
)
from serving.rows import dumps

RETRY_AFTER_SECONDS: Final = 2
_KINDS: Final[Mapping[type[TidemarkError], tuple[int, str]]] = {
    QueryRefused: (400, "query-refused"),
    QueryTimeout: (504, "query-timeout"),
    StoreUnavailable: (503, "store-unavailable"),
    RulesChanged: (503, "rules-changed"),
    WarehouseDamaged: (503, "warehouse-damaged"),
}


class Problem(Exception):
    """A request that cannot be answered with 200; `more` are further members, such as the columns there are."""

    def __init__(self, status: int, kind: str, detail: str, remedy: str, **more: Any) -> None:
        super().__init__(detail)
        self.status, self.kind, self.detail, self.remedy, self.more = status, kind, detail, remedy, more

    @classmethod
    def of(cls, error: TidemarkError) -> Problem:
        """The problem of a typed error."""
        status, kind = next((k for t, k in _KINDS.items() if isinstance(error, t)), (503, "unavailable"))
        return cls(status, kind, str(error), error.remedy)

    def answer(self, as_of: Mapping[str, Any] | None) -> Response:
        """The `application/problem+json` answer, with the state the API stands at (None: not known yet)."""
        content = {
            "type": f"urn:tidemark:problem:{self.kind}",
            "title": self.kind.replace("-", " ").capitalize(),
            "status": self.status,
            "detail": self.detail,
            "remedy": self.remedy,
            "as_of": as_of,
            **self.more,
        }
        headers = {"retry-after": str(RETRY_AFTER_SECONDS)} if self.status == 503 else {}  # noqa: PLR2004 - HTTP's own
        return Response(dumps(content), self.status, headers, "application/problem+json")
