"""Following the journal: read on from a position, for one subscriber of whatever kind of events.

Rule 1: a response's `sequence` says that everything at or below it that matches has been sent on this stream;
`previous_sequence` is the `sequence` of the response before, so that a hole would show.
Rule 2: no queue belongs to a subscriber. It reads on from its position when the bell rings; a slow one costs its own
time, and one that stands still is cut off and resumes by its position.
Rule 3: replay and live are the same loop, and events are sent in the bytes that the journal keeps.
Rule 4: orders and the desk share the sequence. A stream passes over what is not its kind as over what does not match;
the responses of both have the same fields in the same places (a test holds them to it), so one code makes them.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Final, Protocol

from orderd.engine.api import Engine
from orderd.engine.errors import EngineError, Kind
from orderd.ports import CompactedError, Entry
from orderd.server.call import Call
from orderd.server.errors import too_slow
from orderd.wire import splice

MAX_EVENTS: Final = 500
MAX_RESPONSE_BYTES: Final = 1024 * 1024
SHARED_BYTES: Final = 8 * 1024 * 1024
"""How much of what was put together for one subscriber is kept for the others at the same position."""


class Follow(Protocol):
    """What every subscriber says, whatever it filters by."""

    @property
    def after_sequence(self) -> int | None:
        """Everything after it; None: live from now."""
        ...

    @property
    def journal_id(self) -> str:
        """The journal that it belongs to; empty: not checked."""
        ...

    @property
    def heartbeat_ms(self) -> int:
        """How often an idle stream says that it lives."""
        ...


class Wanted(Protocol):
    """The kind of events of a stream, and the filters of one subscriber."""

    @property
    def everything(self) -> bool:
        """Whether it wants every event of that kind: then it shares its responses."""
        ...

    def chosen(self, entries: Sequence[Entry]) -> Sequence[Entry]:
        """Those of the entries that it wants, in their order."""
        ...


def check_position(engine: Engine, ask: Follow) -> None:
    """Refuse a position that this journal never had, or has no more."""
    journal, feed, after = engine.journal, engine.feed, ask.after_sequence
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

    def __init__(self, engine: Engine, call: Call, ask: Follow, *, wanted: Wanted, shared: "SharedResponses") -> None:
        """Nothing is sent before `run`. `shared` belongs to the streams of one kind of events."""
        self._ask = ask
        self._engine = engine
        self._feed = engine.feed
        self._shared = shared
        self._call = call
        self._wanted = wanted
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
        await self.start()
        while True:
            entries = self._fitting(await self._feed.read(self._position, self._page))
            if entries:
                await self._bring(entries)
            else:
                await self._feed.changed(self._position, max(self._heartbeat_due_s(), 0))
            if self._heartbeat_due_s() <= 0:
                heartbeat = splice.heartbeat_response_bytes(self._position, self._told)
                await self.send(heartbeat, sequence=self._position)

    async def start(self) -> None:
        """Say where the stream begins."""
        head, after = self._feed.head, self._ask.after_sequence
        await self.begin(head, head if after is None else after)

    async def begin(self, head: int, position: int) -> None:
        """Send the first response. `position`: everything after it follows."""
        self._position = position
        started = splice.started_response_bytes(self._engine.journal.journal_id, head, position)
        await self.send(started, sequence=position)

    def go_on_from(self, position: int) -> None:
        """Everything up to here is known to the subscriber."""
        self._position = position

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
        chosen = self._wanted.chosen(entries)
        if not chosen:
            # Reading on from memory waits for nothing, and a long stretch without a match must not hold up the loop.
            await asyncio.sleep(0)
        for first, end in runs([entry.data for entry in chosen]):
            # Only the last response says that the rest, which does not match, has been looked at, too.
            sequence = upto if end == len(chosen) else chosen[end - 1].sequence
            await self.send(self._response(chosen[first:end], sequence), sequence=sequence)
        self._position = upto

    def _response(self, entries: Sequence[Entry], sequence: int) -> bytes:
        if self._wanted.everything:
            return self._shared.response(entries, sequence, self._told)
        return splice.events_response_bytes([entry.data for entry in entries], sequence, self._told)

    def _heartbeat_due_s(self) -> float:
        return self._told_time + self._heartbeat_s - asyncio.get_running_loop().time()

    async def send(self, response: bytes, *, sequence: int) -> None:
        """Send one response. Raises the error that ends the stream when its reader makes no room for it."""
        if not await self._call.write(response):
            raise too_slow(self._told)
        self._told = sequence
        self._told_time = asyncio.get_running_loop().time()


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
