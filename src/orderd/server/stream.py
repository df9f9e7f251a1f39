"""StreamOrderEvents: the journal, read on from a position, for one subscriber.

Rule 1: a response's `sequence` says that everything at or below it that matches has been sent on this stream;
`previous_sequence` is the `sequence` of the response before, so that a hole would show.
Rule 2: no queue belongs to a subscriber. It reads on from its position when the bell rings; a slow one costs its own
time, and one that stands still is cut off and resumes by its position.
Rule 3: replay and live are the same loop, and events are sent in the bytes that the journal keeps.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Final

from oms.v1 import order_pb2
from oms.v1 import order_service_pb2 as pb
from orderd.engine.api import Engine
from orderd.engine.errors import EngineError, Kind
from orderd.ports import CompactedError, Entry, OrderFilter
from orderd.server import naming
from orderd.server.call import Call
from orderd.server.errors import invalid, too_slow
from orderd.wire import splice
from orderd.wire.asks import Invalid, StreamAsk
from orderd.wire.validate_queries import stream_ask

MAX_EVENTS: Final = 500
MAX_RESPONSE_BYTES: Final = 1024 * 1024
MAX_SNAPSHOT_ORDERS: Final = 20_000
SHARED_BYTES: Final = 8 * 1024 * 1024
"""How much of what was put together for one subscriber is kept for the others at the same position."""


class OrderStreams:
    """StreamOrderEvents."""

    def __init__(self, engine: Engine) -> None:
        """All subscribers share the engine's feed and the responses of `SharedResponses`."""
        self._engine = engine
        self._shared = SharedResponses()

    async def StreamOrderEvents(self, request: pb.StreamOrderEventsRequest, call: Call) -> None:
        """Serve one subscriber until it leaves, falls behind or the server leaves."""
        ask = stream_ask(request)
        if isinstance(ask, Invalid):
            raise invalid(ask)
        naming.check_known(self._engine, ask.account_ids)
        call.note(trace_id=",".join(ask.trace_ids[:1]))
        self._check_position(ask)
        await Subscription(ask, self._engine, self._shared, call).run()

    def _check_position(self, ask: StreamAsk) -> None:
        """Refuse a position that this journal never had, or has no more."""
        journal, feed, after = self._engine.journal, self._engine.feed, ask.after_sequence
        if ask.journal_id and ask.journal_id != journal.journal_id:
            raise EngineError(
                Kind.FAILED_PRECONDITION,
                "JOURNAL_MISMATCH",
                "this is another journal than the one that was followed; take a snapshot",
                metadata={"journal_id": journal.journal_id},
                subject=("orderd.Journal", ask.journal_id),
            )
        if after is None:
            return
        if after > feed.head:
            raise EngineError(
                Kind.OUT_OF_RANGE,
                "SEQUENCE_IN_FUTURE",
                "after_sequence is beyond the head of the journal",
                metadata={"head_sequence": str(feed.head)},
            )
        if after < feed.oldest:
            raise CompactedError(feed.oldest)


class Subscription:
    """One subscriber: where it stands, and what it wants."""

    def __init__(self, ask: StreamAsk, engine: Engine, shared: "SharedResponses", call: Call) -> None:
        """Nothing is sent before `run`."""
        self._ask = ask
        self._engine = engine
        self._feed = engine.feed
        self._shared = shared
        self._call = call
        self._wanted = Wanted(ask)
        self._heartbeat_s = ask.heartbeat_ms / 1000
        self._position = 0
        """Everything up to here has been looked at."""
        self._told = 0
        """The `sequence` of the last response."""
        self._told_time = 0.0
        """When it was sent, by the loop's clock."""
        self._page = MAX_EVENTS
        """How many events are read at once: what is read and not sent yet is all that a subscriber costs."""

    async def run(self) -> None:
        """Open the stream and follow the journal for ever."""
        await self._start()
        while True:
            entries = self._fitting(await self._feed.read(self._position, self._page))
            if entries:
                await self._bring(entries)
            else:
                await self._feed.changed(self._position, max(self._heartbeat_due_s(), 0))
            if self._heartbeat_due_s() <= 0:
                heartbeat = splice.heartbeat_response_bytes(self._position, self._told)
                await self._send(heartbeat, sequence=self._position)

    async def _start(self) -> None:
        head, journal_id = self._feed.head, self._engine.journal.journal_id
        if self._ask.with_snapshot:
            await self._send(splice.started_response_bytes(journal_id, head, 0), sequence=0)
            await self._send_snapshot()
            return
        after = self._ask.after_sequence
        self._position = head if after is None else after
        started = splice.started_response_bytes(journal_id, head, self._position)
        await self._send(started, sequence=self._position)

    async def _send_snapshot(self) -> None:
        """One read transaction, copied and then sent: no event can fall between it and what follows."""
        page = await self._engine.journal.snapshot(self._wanted.open_orders(), limit=MAX_SNAPSHOT_ORDERS)
        if page.has_more:
            raise EngineError(
                Kind.EXHAUSTED,
                "SNAPSHOT_TOO_LARGE",
                f"more than {MAX_SNAPSHOT_ORDERS} open orders match; narrow the filters",
            )
        bodies = [row.data for row in page.rows if self._wanted.has_order(row.data)]
        for first, end in runs(bodies):
            await self._send(splice.snapshot_response_bytes(bodies[first:end]), sequence=0)
        self._position = page.sequence
        await self._send(splice.snapshot_end_response_bytes(page.sequence), sequence=page.sequence)

    def _fitting(self, entries: Sequence[Entry]) -> Sequence[Entry]:
        """The first of them, as many as one response holds; the others are read again, and no more than fit."""
        end = next((end for _, end in runs([entry.data for entry in entries])), 0)
        if end < len(entries):
            self._page = end
            return entries[:end]
        self._page = min(2 * self._page, MAX_EVENTS)
        return entries

    async def _bring(self, entries: Sequence[Entry]) -> None:
        """Send what matches of the next events, and move on past all of them."""
        upto = entries[-1].sequence
        chosen = [entry for entry in entries if entry.record_kind is None]
        if not self._wanted.everything:
            chosen = [entry for entry in chosen if self._wanted.has(entry)]
        if not chosen:
            # Reading on from memory waits for nothing, and a long stretch without a match must not hold up the loop.
            await asyncio.sleep(0)
        for first, end in runs([entry.data for entry in chosen]):
            # Only the last response says that the rest, which does not match, has been looked at, too.
            sequence = upto if end == len(chosen) else chosen[end - 1].sequence
            await self._send(self._response(chosen[first:end], sequence), sequence=sequence)
        self._position = upto

    def _response(self, entries: Sequence[Entry], sequence: int) -> bytes:
        if self._wanted.everything:
            return self._shared.response(entries, sequence, self._told)
        return splice.events_response_bytes([entry.data for entry in entries], sequence, self._told)

    def _heartbeat_due_s(self) -> float:
        return self._told_time + self._heartbeat_s - asyncio.get_running_loop().time()

    async def _send(self, response: bytes, *, sequence: int) -> None:
        if not await self._call.write(response):
            raise too_slow(self._told)
        self._told = sequence
        self._told_time = asyncio.get_running_loop().time()


class Wanted:
    """The filters of one subscriber: AND between fields, OR inside one, empty = all."""

    def __init__(self, ask: StreamAsk) -> None:
        """Keep the fields that say something."""
        fields = {
            "account_id": ask.account_ids,
            "order_id": ask.order_ids,
            "symbol": ask.symbols,
            "strategy": ask.strategies,
            "trace_id": ask.trace_ids,
            "decision_id": ask.decision_ids,
            "trade_id": ask.trade_ids,
        }
        self._ask = ask
        self._fields = [(name, frozenset(values)) for name, values in fields.items() if values]
        self.everything = not self._fields

    def has(self, entry: Entry) -> bool:
        """Whether the event matches."""
        return all(getattr(entry, name) in values for name, values in self._fields)

    def open_orders(self) -> OrderFilter:
        """The open orders that match, but for the order ids, which `has_order` looks at."""
        ask = self._ask
        return OrderFilter(
            open_only=True,
            account_ids=ask.account_ids,
            symbols=ask.symbols,
            strategies=ask.strategies,
            trace_ids=ask.trace_ids,
            decision_ids=ask.decision_ids,
            trade_ids=ask.trade_ids,
        )

    def has_order(self, data: bytes) -> bool:
        """Whether the order ids of the filter, if there are any, name this order."""
        return not self._ask.order_ids or order_pb2.Order.FromString(data).order_id in self._ask.order_ids


class SharedResponses:
    """What one unfiltered subscriber was sent is what the next one at the same position is sent: built once."""

    def __init__(self, *, most_bytes: int = SHARED_BYTES) -> None:
        """Keep the latest responses, `most_bytes` in all."""
        self._responses: OrderedDict[tuple[int, int], bytes] = OrderedDict()
        self._left = most_bytes

    def response(self, entries: Sequence[Entry], upto: int, previous: int) -> bytes:
        """The response with the events after `previous` up to `upto`."""
        key = (previous, upto)
        known = self._responses.get(key)
        if known is not None:
            return known
        made = splice.events_response_bytes([entry.data for entry in entries], upto, previous)
        self._responses[key] = made
        self._left -= len(made)
        while self._left < 0:
            _, dropped = self._responses.popitem(last=False)
            self._left += len(dropped)
        return made


def runs(bodies: Sequence[bytes]) -> Iterator[tuple[int, int]]:
    """Where to cut: from and to of the runs that fit into one response, `MAX_EVENTS` and about `MAX_RESPONSE_BYTES`."""
    first, size = 0, 0
    for index, body in enumerate(bodies):
        if index > first and (size + len(body) > MAX_RESPONSE_BYTES or index - first >= MAX_EVENTS):
            yield first, index
            first, size = index, 0
        size += len(body)
    if first < len(bodies):
        yield first, len(bodies)
