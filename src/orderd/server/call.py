"""One call as a service sees it: how long it may take, where to write, and what to remember for the log."""

import asyncio
from typing import Any, Final, Protocol

from structlog.contextvars import bind_contextvars

DEADLINE_SHARE: Final = 0.1
MAX_MARGIN_S: Final = 0.25
MIN_MARGIN_S: Final = 0.02
"""An answer needs a while to get home: a tenth of the time that is left, within these bounds. Seconds."""


class RpcContext(Protocol):
    """The part of grpc.aio's context that a call needs."""

    def time_remaining(self) -> float | None:
        """Seconds to the caller's deadline; None without one."""
        ...

    async def write(self, message: Any, /) -> None:  # noqa: ANN401 - what the serialiser takes
        """Hand one message to the transport."""
        ...


class Call:
    """Handed to every service method beside its request."""

    __slots__ = ("_context", "_write_timeout_s", "method")

    def __init__(self, method: str, context: RpcContext, *, write_timeout_s: float = 30) -> None:
        """`method` is the full name, such as /oms.v1.OrderService/SubmitOrder."""
        self.method = method
        self._context = context
        self._write_timeout_s = write_timeout_s

    def patience_s(self, most_s: float) -> float:
        """How long to wait for an outcome: at most `most_s`, and so that the answer is home before the deadline."""
        left_s = self._context.time_remaining()
        if left_s is None:
            return most_s
        margin_s = min(max(left_s * DEADLINE_SHARE, MIN_MARGIN_S), MAX_MARGIN_S)
        return max(min(most_s, left_s - margin_s), 0.0)

    async def write(self, message: bytes) -> bool:
        """Send one message of a stream. False when the reader did not make room for it in time."""
        patience = asyncio.timeout(self._write_timeout_s)
        try:
            async with patience:
                await self._context.write(message)
        except TimeoutError:
            if patience.expired():
                return False
            raise
        return True

    def note(self, **names: str) -> None:
        """Name what the call is about; every log line of this call carries it."""
        bind_contextvars(**{name: text for name, text in names.items() if text})
