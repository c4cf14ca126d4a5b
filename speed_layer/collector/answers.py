"""What the collector says: a disposition for every event, and problems as RFC 9457 has them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, Literal

import msgspec
from starlette.responses import Response

from contracts.reasons import EXPLANATIONS, Reason

Status = Literal["accepted", "rejected", "refused_no_consent", "unavailable"]
RETRY_AFTER_SECONDS: Final = 2
# Any page may send its visitors' events; nothing is ever answered that depends on a cookie.
CORS: Final = {"access-control-allow-origin": "*"}
PREFLIGHT: Final = CORS | {
    "access-control-allow-methods": "POST, OPTIONS",
    "access-control-allow-headers": "authorization, content-type, content-encoding, traceparent, x-retry-count",
    "access-control-max-age": "86400",
}
_ENCODE: Final = msgspec.json.Encoder().encode


class Disposition(msgspec.Struct, omit_defaults=True, rename={"message_id": "messageId"}):
    """What became of one event. `message_id` is None where it could not be read."""

    message_id: str | None
    status: Status
    reason: Reason | None = None
    explanation: str | None = None

    @classmethod
    def rejected(cls, message_id: str | None, reason: Reason) -> Disposition:
        """An event that breaks its contract."""
        return cls(message_id, "rejected", reason, EXPLANATIONS[reason])


class Problem(Exception):
    """A request that cannot be answered with 200. Becomes an `application/problem+json` answer."""

    def __init__(self, status: int, kind: str, detail: str, remedy: str, **headers: str) -> None:
        super().__init__(detail)
        self.status, self.kind, self.detail, self.remedy = status, kind, detail, remedy
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    def answer(self, dispositions: Sequence[Disposition] | None = None) -> Response:
        """The answer, with the events' dispositions where they are known."""
        content: dict[str, Any] = {
            "type": f"urn:tidemark:problem:{self.kind}",
            "title": self.kind.replace("-", " ").capitalize(),
            "status": self.status,
            "detail": self.detail,
            "remedy": self.remedy,
            "success": False,
        }
        if dispositions is not None:
            content["dispositions"] = dispositions
        return Response(_ENCODE(content), self.status, CORS | self.headers, "application/problem+json")


def unavailable(detail: str) -> Problem:
    """The problem of a Kafka that does not acknowledge: nothing was claimed, send again later."""
    return Problem(
        503,
        "unavailable",
        detail,
        "Send the request again after Retry-After seconds; events that did arrive are recognised as copies.",
        retry_after=str(RETRY_AFTER_SECONDS),
    )


def answer(dispositions: Sequence[Disposition], ignored: Iterable[str] = ()) -> Response:
    """The answer to a request whose events are all disposed of.

    503 where one could not be acknowledged, 400 where none was accepted though one was offered with consent, else
    200. `ignored` names the members of a batch that have no effect.
    """
    found = {disposition.status for disposition in dispositions}
    if "unavailable" in found:
        return unavailable("Kafka did not acknowledge every event in time, or too many are waiting for it.").answer(
            dispositions
        )
    if "rejected" in found and "accepted" not in found:
        return _nothing_accepted(dispositions).answer(dispositions)
    content: dict[str, Any] = {"success": True, "dispositions": dispositions}
    if names := list(ignored):
        content["ignored"] = names
    return Response(_ENCODE(content), 200, CORS, "application/json")


def _nothing_accepted(dispositions: Sequence[Disposition]) -> Problem:
    explanations = dict.fromkeys(d.explanation for d in dispositions if d.explanation)
    detail = f"No event could be accepted. {' '.join(explanations)}"
    return Problem(400, "nothing-accepted", detail, "Correct the events as their explanations say.")
