"""A stream of events that goes on where it stopped, and notices when something is missing.

Rule 1: the position is what the server says has been delivered (`sequence`), heartbeats included; a reconnect asks for
everything after it, so nothing is skipped and nothing comes twice.
Rule 2: every message proves that it follows the one before (`previous_sequence`); one that does not is not delivered:
the stream is opened again at the position, and a gap that stays is an error, never silence.
"""

import asyncio
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from types import TracebackType
from typing import Any, Final, Generic, NoReturn, Self, TypeVar

import grpc
import grpc.aio

from oms.v1.order_pb2 import Order, OrderEvent
from oms.v1.order_service_pb2 import StreamOrderEventsRequest, StreamOrderEventsResponse
from oms.v1.trade_service_pb2 import DeskEvent, StreamDeskEventsRequest, StreamDeskEventsResponse
from orderd.client.errors import OrderdError, decode

HEARTBEAT_S: Final = 15.0
LONGEST_PAUSE_S: Final = 5.0
SHORTEST_PAUSE_S: Final = 0.1
SILENT_HEARTBEATS: Final = 3
MOST_GAPS: Final = 3
CUT: Final = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
    }
)
"""What a connection that was cut can look like when the status is not the server's own word."""

Response = TypeVar("Response", StreamOrderEventsResponse, StreamDeskEventsResponse)
OnReconnect = Callable[[int, OrderdError], None]
"""Called before each new attempt with the position to go on from and with what ended the stream."""


class GapError(Exception):
    """The server left something out, again and again, at the same place."""


class _BrokenOffError(Exception):
    """This connection is no good any more; the next one goes on at the position."""


class Following(Generic[Response]):
    """A stream and its position: `sequence` and `journal_id` are what to store to resume in another process.

    `sequence` moves when an event is handed out: handle the event, then store it. Reconnects for ever, or until nothing
    was heard for `give_up_after_s`. Raises OrderdError for what no reconnect heals (JOURNAL_MISMATCH,
    SEQUENCE_COMPACTED, a bad filter) and GapError. Leave it with `close` or use it as `async with`.
    """

    _kind: type[Response]
    """What its messages are."""

    def __init__(
        self,
        start: Callable[[Any], "grpc.aio.UnaryStreamCall[Any, Response]"],
        request: StreamOrderEventsRequest | StreamDeskEventsRequest,
        *,
        on_reconnect: OnReconnect | None = None,
        give_up_after_s: float | None = None,
    ) -> None:
        """`start` opens one stream."""
        self.sequence = request.after_sequence
        self.journal_id = request.journal_id
        self._start: Callable[[Any], grpc.aio.UnaryStreamCall[Any, Response]] = start
        self._request = request
        self._has_snapshot = isinstance(request, StreamOrderEventsRequest) and request.snapshot
        self._on_reconnect = on_reconnect
        self._give_up_after_s = give_up_after_s
        self._position: int | None = request.after_sequence if request.HasField("after_sequence") else None
        self._is_started = False
        self._gaps = 0
        self._attempt = 0
        self._heard = time.monotonic()
        interval = request.heartbeat_interval.ToTimedelta().total_seconds() or HEARTBEAT_S
        self._silence_s = SILENT_HEARTBEATS * min(max(interval, 1), 60)
        self._messages: AsyncGenerator[Response, None] = self._follow()

    async def __aenter__(self) -> Self:
        """Use as `async with`; the stream is opened by the first read."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the stream."""
        await self.close()

    async def close(self) -> None:
        """End the stream."""
        await self._messages.aclose()

    async def messages(self) -> AsyncIterator[Response]:
        """The messages as they came, heartbeats too, each after it was checked."""
        async for message in self._messages:
            self._move(message)
            yield message

    def _move(self, message: Response) -> None:
        self.sequence = max(self.sequence, message.sequence) if self._position is not None else self.sequence

    # ------------------------------------------------------------------------------------------- connections

    async def _follow(self) -> AsyncGenerator[Response, None]:
        while True:
            call = self._start(self._asked())
            try:
                async with aclosing(self._read(call)) as messages:
                    async for message in messages:
                        self._attempt, self._heard = 0, time.monotonic()
                        yield message
            except grpc.aio.AioRpcError as error:
                ended = decode(error)
            except _BrokenOffError as error:
                ended = OrderdError(code=grpc.StatusCode.UNAVAILABLE, message=str(error))
            else:
                ended = OrderdError(code=grpc.StatusCode.UNAVAILABLE, message="the server ended the stream")
            finally:
                call.cancel()
            await self._pause(ended)

    def _asked(self) -> StreamOrderEventsRequest | StreamDeskEventsRequest:
        asked: Any = type(self._request)()
        asked.CopyFrom(self._request)
        asked.journal_id = self.journal_id
        if self._position is not None:
            asked.after_sequence = self._position
            if self._has_snapshot:
                asked.snapshot = False
        return asked  # type: ignore[no-any-return]  # of the type it was made with

    async def _pause(self, ended: OrderdError) -> None:
        """Wait before the next connection, or raise what no connection will heal."""
        is_over = self._give_up_after_s is not None and time.monotonic() - self._heard >= self._give_up_after_s
        if is_over or not self._is_passing(ended):
            raise ended
        if self._on_reconnect is not None:
            self._on_reconnect(self._position or 0, ended)
        longest = min(LONGEST_PAUSE_S, SHORTEST_PAUSE_S * 2**self._attempt)
        self._attempt += 1
        advice = ended.retry_after_s
        await asyncio.sleep(random.uniform(SHORTEST_PAUSE_S / 2, longest) if advice is None else advice)

    def _is_passing(self, ended: OrderdError) -> bool:
        """Whether the same stream may be had later: the peer or the way to it is gone, or there was no room."""
        if ended.code is grpc.StatusCode.RESOURCE_EXHAUSTED:
            return ended.retry_after_s is not None and self._is_started
        is_cut = ended.is_transport and ended.code in CUT
        return is_cut or ended.code is grpc.StatusCode.UNAVAILABLE

    async def _read(self, call: "grpc.aio.UnaryStreamCall[Any, Response]") -> AsyncGenerator[Response, None]:
        while True:
            try:
                async with asyncio.timeout(self._silence_s):
                    message = await call.read()
            except TimeoutError:
                raise _BrokenOffError(f"nothing was heard for {self._silence_s:g} s") from None
            if not isinstance(message, self._kind):
                return  # grpc.aio.EOF
            self._check(message)
            yield message

    # ------------------------------------------------------------------------------------------- one message

    def _check(self, message: Response) -> None:
        """Take the message into the position, or raise."""
        kind: str | None = message.WhichOneof("payload")
        match kind:
            case "started":
                self._check_started(message)
            case "snapshot_end":
                self._position = message.sequence
            case "events" | "heartbeat":
                self._check_next(message)
            case _:
                pass

    def _check_started(self, message: Response) -> None:
        journal_id = message.started.journal_id
        if self.journal_id and journal_id != self.journal_id:
            text = f"the server keeps journal {journal_id}, followed was {self.journal_id}: take a snapshot"
            raise OrderdError(code=grpc.StatusCode.FAILED_PRECONDITION, message=text, reason="JOURNAL_MISMATCH")
        if self._position is not None and message.sequence != self._position:
            self._gap(f"asked for what follows {self._position}, got a stream from {message.sequence}")
        self.journal_id = journal_id
        self._is_started = True
        if not self._has_snapshot and self._position is None:
            self._position = message.sequence

    def _check_next(self, message: Response) -> None:
        position = self._position or 0
        if message.previous_sequence != self._position:
            self._gap(f"a message follows {message.previous_sequence}, not {position}")
        for event in message.events.events:
            if event.sequence <= position:
                self._gap(f"event {event.sequence} comes after {position}")
            position = event.sequence
        if message.sequence < position:
            self._gap(f"a message up to {message.sequence} holds event {position}")
        self._position = message.sequence
        self._gaps = 0

    def _gap(self, text: str) -> NoReturn:
        self._gaps += 1
        if self._gaps > MOST_GAPS:
            raise GapError(text)
        raise _BrokenOffError(text)


class Follower(Following[StreamOrderEventsResponse]):
    """Iterate over it for `OrderEvent`s. What it keeps and raises: see Following.

    With a snapshot, `await snapshot()` first: the open orders as of one sequence; the events after it follow.
    """

    _kind = StreamOrderEventsResponse

    async def snapshot(self) -> list[Order]:
        """Every matching open order as of `sequence`. Only for a stream that was asked for one, and only once."""
        if not self._has_snapshot:
            raise ValueError("no snapshot was asked for")
        orders: list[Order] = []
        async for message in self._messages:
            match message.WhichOneof("payload"):
                case "started":
                    orders = []  # the connection may have broken in the middle of an earlier attempt
                case "snapshot":
                    orders += message.snapshot.orders
                case "snapshot_end":
                    self.sequence = message.sequence
                    return orders
                case _:
                    pass
        raise GapError("the stream ended before its snapshot did")

    async def __aiter__(self) -> AsyncIterator[OrderEvent]:
        """Events in journal order."""
        async for message in self._messages:
            for event in message.events.events:
                self.sequence = event.sequence
                yield event
            self._move(message)


class DeskFollower(Following[StreamDeskEventsResponse]):
    """Iterate over it for `DeskEvent`s. What it keeps and raises: see Following."""

    _kind = StreamDeskEventsResponse

    async def __aiter__(self) -> AsyncIterator[DeskEvent]:
        """Events in journal order."""
        async for message in self._messages:
            for event in message.events.events:
                self.sequence = event.sequence
                yield event
            self._move(message)
