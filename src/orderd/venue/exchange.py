"""One request and one answer, as values: what a face takes and gives, on a socket or without one."""

from collections.abc import Mapping
from enum import StrEnum

import msgspec

REASONS = {
    200: "OK",
    204: "No Content",
    207: "Multi-Status",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    422: "Unprocessable Entity",
    429: "Too Many Requests",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What arrived. The path is as on the wire (still percent-encoded), without the query."""

    method: str
    path: str
    query: Mapping[str, str] = {}
    headers: Mapping[str, str] = {}
    body: bytes = b""


class Disposition(StrEnum):
    """What becomes of an answer on its way back."""

    DELIVER = "deliver"
    LOSE = "lose"
    """Never goes out: the connection ends without a byte."""
    HOLD = "hold"
    """Goes out when the reply's barrier is released."""
    CUT = "cut"
    """The first `cut_at` bytes of the whole answer go out, then the connection ends."""
    LATE = "late"
    """The request lands later (the face sees to it). Status 0: the client never hears anything; else it gets
    this answer now."""


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What to answer, and how."""

    status: int
    headers: Mapping[str, str] = {}
    body: bytes = b""
    disposition: Disposition = Disposition.DELIVER
    barrier: str = ""
    cut_at: int = 0

    def wire(self) -> bytes:
        """The whole answer as HTTP/1.1 bytes: what `cut_at` counts in."""
        head = [f"HTTP/1.1 {self.status} {REASONS.get(self.status, 'Status')}"]
        head += [f"{name}: {value}" for name, value in self.headers.items()]
        head.append(f"Content-Length: {len(self.body)}")
        return "\r\n".join([*head, "", ""]).encode() + self.body
