"""What one subscriber was told, kept and checked as it comes: StreamOrderEvents from the beginning, resumed."""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Callable

import grpc

from oms.v1 import order_pb2 as opb
from oms.v1 import order_service_pb2 as pb
from tests.e2e.raw import event_bytes

METHOD = "/oms.v1.OrderService/StreamOrderEvents"
GONE = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED})


class Tape:
    """Every event from sequence 1 on, in order. Holds the contract of the stream while it records."""

    def __init__(self) -> None:
        self.events: list[opb.OrderEvent] = []
        self.bytes: list[bytes] = []
        """The same, as they came over the wire."""
        self.orders: dict[str, opb.Order] = {}
        """Each order after the last event heard of it."""
        self.sequence = 0
        """What a client stores to resume."""
        self.journal_id = ""
        self._versions: defaultdict[str, int] = defaultdict(int)
        self._changed = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None

    def follow(self, channel: grpc.aio.Channel) -> None:
        """Record from this server until it goes."""
        self._task = asyncio.create_task(self._record(channel))

    async def stop(self) -> None:
        """Record no more. Raises what the recording found wrong."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _record(self, channel: grpc.aio.Channel) -> None:
        request = pb.StreamOrderEventsRequest(after_sequence=self.sequence, journal_id=self.journal_id)
        try:
            told = self.sequence
            stream = channel.unary_stream(METHOD, request_serializer=pb.StreamOrderEventsRequest.SerializeToString)
            async for data in stream(request):
                self.bytes += event_bytes(data)
                response = pb.StreamOrderEventsResponse.FromString(data)
                if response.HasField("started"):
                    self.journal_id = response.started.journal_id
                else:
                    assert response.previous_sequence == told, "a hole in the stream"
                told = response.sequence
                await self._take(response)
        except grpc.aio.AioRpcError as error:
            if error.code() not in GONE:
                raise

    async def _take(self, response: pb.StreamOrderEventsResponse) -> None:
        for event in response.events.events:
            assert event.sequence > self.sequence, f"event {event.sequence} after {self.sequence}"
            assert event.version == self._versions[event.order_id] + 1, f"version {event.version} of {event.order_id}"
            self._versions[event.order_id] = event.version
            self.sequence = event.sequence
            self.events.append(event)
            self.orders[event.order_id] = event.order
        self.sequence = max(self.sequence, response.sequence)
        if response.events.events:
            async with self._changed:
                self._changed.notify_all()

    async def until(self, is_true: Callable[[], bool], within_s: float = 15) -> None:
        """Wait until something holds of what was told."""
        async with asyncio.timeout(within_s), self._changed:
            while not is_true():
                if self._task is not None and self._task.done() and self._task.exception() is not None:
                    self._task.result()
                await self._changed.wait()

    def of(self, order_id: str) -> list[opb.OrderEvent]:
        """The story of one order."""
        return [event for event in self.events if event.order_id == order_id]

    def types(self, order_id: str) -> list[str]:
        """The types of its events, without their prefix."""
        return [opb.OrderEventType.Name(event.type).removeprefix("ORDER_EVENT_TYPE_") for event in self.of(order_id)]

    def fills(self, order_id: str) -> list[opb.Fill]:
        """The fills its events brought, in order."""
        return [event.fill for event in self.of(order_id) if event.HasField("fill")]
