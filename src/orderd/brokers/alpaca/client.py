"""The seam below Alpaca's adapter: calls and frames as bytes, with no meaning.

`rest` and `stream` are the real ones behind it, `brokers.simulated` serves it in process. Above the seam everything
is the same code, so a simulation runs the real parser and the real adapter.
"""

from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Protocol

from orderd.core.values import Value
from orderd.ports import Lane

Query = tuple[tuple[str, str], ...]


class Request(Value, frozen=True, kw_only=True):
    """One HTTP request. `path` is absolute (`/v2/orders`), `body` is JSON or None.

    `may_leave` is asked when it is about to leave, in whatever thread that is.
    """

    method: str
    path: str
    query: Query = ()
    body: bytes | None = None
    may_leave: Callable[[], bool] | None = None

    def check(self) -> None:
        """Raise NotConnected when it may not leave any more."""
        if self.may_leave is not None and not self.may_leave():
            raise NotConnected("it may not leave any more")


class Response(Value, frozen=True, kw_only=True):
    """What came back, whole: header names in lower case, the body's own bytes (content encoding undone)."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class NotConnected(Exception):
    """Provably nothing was sent: refused, no such host, connect timeout, or it never left our own queue."""


class AnswerLost(Exception):
    """Bytes may have left and no whole answer came: it may have happened."""


class Frame(Value, frozen=True, kw_only=True):
    """One stream message, text or binary alike."""

    data: bytes


class Connected(Value, frozen=True, kw_only=True):
    """The stream is authorised and listening; there is no replay, so anything before this may be missing."""


class Disconnected(Value, frozen=True, kw_only=True):
    """The stream is not connected, and why."""

    message: str


class LateAnswer(Value, frozen=True, kw_only=True):
    """The answer to a call whose caller had already been told `AnswerLost`. `asked_ns` is when the call began."""

    request: Request
    response: Response
    asked_ns: int


Arrival = Frame | Connected | Disconnected | LateAnswer


class AlpacaClient(Protocol):
    """HTTP calls and stream frames of one account."""

    async def call(self, lane: Lane, request: Request, *, timeout_s: float) -> Response:
        """Send once, follow no redirect. Raises NotConnected or AnswerLost, within `timeout_s`."""
        ...

    def frames(self) -> AsyncGenerator[Arrival, None]:
        """Everything that arrives unasked. Reconnects for ever; ends when closed."""
        ...

    async def close(self) -> None:
        """Let go of sockets and threads without waiting for answers."""
        ...
