"""A connection, and how calls are made on it: a deadline on each, and a repeat where a repeat can do no harm.

Repeated after UNAVAILABLE or DEADLINE_EXCEEDED, until `retry_for_s` have passed: reads, and what is the same call when
it is made again. Each call of `Client` and `DeskCalls` says which it is.
"""

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from types import TracebackType
from typing import Any, Final, Protocol, Self, TypeVar, cast

import grpc
import grpc.aio

from orderd.client.errors import OrderdError, decode

DEFAULT_ADDRESS: Final = "127.0.0.1:50051"
SHORTEST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 2.0
REPEATABLE: Final = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED})
# A frozen peer is noticed after 30 s, also on a stream that only listens.
CHANNEL_OPTIONS: Final[Sequence[tuple[str, int]]] = (
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.max_receive_message_length", 16 << 20),
    ("grpc.max_reconnect_backoff_ms", 2_000),
)

Answer = TypeVar("Answer")
Item = TypeVar("Item")


class _Paged(Protocol):
    page_token: str


class Calls:
    """A connection to one server, and how each call is made on it."""

    def __init__(
        self,
        address: str | None = None,
        *,
        timeout_s: float = 10,
        retry_for_s: float = 30,
        credentials: grpc.ChannelCredentials | None = None,
    ) -> None:
        """Without an address: ORDERD_GRPC_ADDRESS, else 127.0.0.1:50051. Nothing is sent before the first call.

        `timeout_s` is the deadline of one attempt, `retry_for_s` how long attempts go on (0: one attempt).
        `credentials` turn TLS on, for a server behind a proxy that ends it.
        """
        self.address = address or os.environ.get("ORDERD_GRPC_ADDRESS") or DEFAULT_ADDRESS
        self._timeout_s = timeout_s
        self._retry_for_s = retry_for_s
        self._channel = (
            grpc.aio.insecure_channel(self.address, options=CHANNEL_OPTIONS)
            if credentials is None
            else grpc.aio.secure_channel(self.address, credentials, options=CHANNEL_OPTIONS)
        )

    async def __aenter__(self) -> Self:
        """Use as `async with`; the connection is made by the first call."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the connection and every stream on it."""
        await self.close()

    async def close(self) -> None:
        """End the connection and every stream on it."""
        await self._channel.close()

    async def ready(self) -> None:
        """Connect, or raise OrderdError after `timeout_s`: for streams, which would otherwise wait for ever."""
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._channel.channel_ready()
        except TimeoutError:
            text = f"no connection to {self.address} within {self._timeout_s:g} s"
            raise OrderdError(code=grpc.StatusCode.UNAVAILABLE, message=text) from None

    # ------------------------------------------------------------------------------------------------ calling

    async def _call(
        self,
        method: Callable[..., Awaitable[Answer]],
        request: object,
        *,
        is_repeatable: bool,
        timeout_s: float | None = None,
    ) -> Answer:
        give_up = time.monotonic() + (self._retry_for_s if is_repeatable else 0)
        attempt = 0
        while True:
            try:
                return await method(request, timeout=timeout_s or self._timeout_s)
            except grpc.aio.AioRpcError as error:
                said = decode(error)
                pause_s = pause(attempt, said.retry_after_s)
                if said.code not in REPEATABLE or time.monotonic() + pause_s >= give_up:
                    raise said from None
            attempt += 1
            await asyncio.sleep(pause_s)

    async def _pages(
        self, method: Callable[..., Awaitable[Answer]], request: object, items: Callable[[Answer], Sequence[Item]]
    ) -> AsyncIterator[Item]:
        asked = cast("Any", type(request))()
        asked.CopyFrom(request)
        while True:
            page = await self._call(method, asked, is_repeatable=True)
            for item in items(page):
                yield item
            token: str = cast("Any", page).next_page_token
            if not token:
                return
            cast("_Paged", asked).page_token = token


def pause(attempt: int, advice_s: float | None) -> float:
    """Seconds before the next attempt: the server's advice, or a random part of a doubling time."""
    longest = min(LONGEST_PAUSE_S, SHORTEST_PAUSE_S * 2**attempt)
    return advice_s if advice_s is not None else random.uniform(SHORTEST_PAUSE_S / 2, longest)
