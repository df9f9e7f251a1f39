"""The real client: REST in threads and the stream on the event loop, joined into one seam."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from orderd.brokers.alpaca.budget import Budget
from orderd.brokers.alpaca.client import Arrival, LateAnswer, Request, Response
from orderd.brokers.alpaca.credential import Credential
from orderd.brokers.alpaca.rest import Rest
from orderd.brokers.alpaca.stream import Pace, TradeStream
from orderd.ports import Clock, Ids, Lane

_FRAMES_WAITING = 1024
"""Frames read ahead of the consumer; beyond it the socket is not read and the sender waits."""
_LATE_WAITING = 1024


class Inbox:
    """What has arrived and was not taken yet: frames wait for room, late answers and the end do not."""

    def __init__(self) -> None:
        """Begin empty."""
        self._items: asyncio.Queue[Arrival | None] = asyncio.Queue()
        self._room = asyncio.Semaphore(_FRAMES_WAITING)
        self._late = 0

    async def put(self, arrival: Arrival) -> None:
        """Add a frame, waiting for room."""
        await self._room.acquire()
        self._items.put_nowait(arrival)

    def put_late(self, late: LateAnswer) -> None:
        """Add a late answer at once; beyond a thousand unread ones nobody is listening and they are dropped."""
        if self._late < _LATE_WAITING:
            self._late += 1
            self._items.put_nowait(late)

    def end(self) -> None:
        """Let the reader finish."""
        self._items.put_nowait(None)

    async def take(self) -> Arrival | None:
        """Take the next one, None at the end."""
        item = await self._items.get()
        if isinstance(item, LateAnswer):
            self._late -= 1
        elif item is not None:
            self._room.release()
        return item


class NetworkClient:
    """`AlpacaClient` over real sockets."""

    def __init__(
        self,
        credential: Credential,
        *,
        rest_url: str,
        stream_url: str,
        clock: Clock,
        ids: Ids,
        budget: Budget,
        pace: Pace | None = None,
    ) -> None:
        """Nothing is opened before the first call, or the first frame asked for."""
        self._inbox = Inbox()
        self._is_closed = False
        self._rest = Rest(credential, rest_url, clock=clock, budget=budget, on_late=self._inbox.put_late)
        self._stream = TradeStream(credential, stream_url, clock=clock, ids=ids, pace=pace or Pace())

    async def call(self, lane: Lane, request: Request, *, timeout_s: float) -> Response:
        """Send once. Raises NotConnected or AnswerLost, within `timeout_s`."""
        return await self._rest.call(lane, request, timeout_s=timeout_s)

    async def frames(self) -> AsyncGenerator[Arrival, None]:
        """Everything that arrives unasked, until closed. A broken promise of the stream's code is raised here."""
        if self._is_closed:
            return
        stream = asyncio.create_task(self._stream.run(self._inbox.put), name="alpaca stream")
        stream.add_done_callback(self._ended)
        try:
            while (arrival := await self._inbox.take()) is not None:
                yield arrival
            if stream.done() and not stream.cancelled():
                stream.result()
        finally:
            stream.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await stream

    def _ended(self, stream: "asyncio.Task[None]") -> None:
        """Wake the reader when the stream broke; one that was left by its reader leaves the next one alone."""
        if not stream.cancelled():
            self._inbox.end()

    async def close(self) -> None:
        """Let go of sockets and threads without waiting for answers."""
        self._is_closed = True
        self._rest.close()
        self._inbox.end()
