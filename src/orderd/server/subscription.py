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
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Final, NamedTuple, Protocol

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
PART_BYTES: Final = 300
"""What Python adds to the bytes of one of these."""


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
        """Whether it wants every event of that kind: then it shares what is put together for it."""
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

    def __init__(self, engine: Engine, call: Call, ask: Follow, *, wanted: Wanted, shared: "SharedParts") -> None:
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
            entries = await self._feed.read(self._position, self._page)
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

    async def _bring(self, entries: Sequence[Entry]) -> None:
        """Send what matches of the next events, and move on past them; what was too much for once is read again."""
        part = self._next(entries)
        self._page = part.length if part.length < len(entries) else min(2 * self._page, MAX_EVENTS)
        if part.response is None:
            # Reading on from memory waits for nothing, and a long stretch without a match must not hold up the loop.
            await asyncio.sleep(0)
        else:
            await self.send(part.response, sequence=part.upto)
        self._position = part.upto

    def _next(self, entries: Sequence[Entry]) -> "Part":
        """A part of what was read. Of those who want everything, all who stand at one place are brought the same."""
        if not self._wanted.everything:
            return self._part(entries)
        place = (self._position, self._told, entries[-1].sequence)
        return self._shared.at(place) or self._shared.keep(place, self._part(entries))

    def _part(self, entries: Sequence[Entry]) -> "Part":
        count = fitting([entry.data for entry in entries])
        upto = entries[count - 1].sequence
        chosen = self._wanted.chosen(entries[:count])
        if not chosen:
            return Part(count, upto, None)
        return Part(count, upto, splice.events_response_bytes([entry.data for entry in chosen], upto, self._told))

    def _heartbeat_due_s(self) -> float:
        return self._told_time + self._heartbeat_s - asyncio.get_running_loop().time()

    async def send(self, response: bytes, *, sequence: int) -> None:
        """Send one response. Raises the error that ends the stream when its reader makes no room for it."""
        if not await self._call.write(response):
            raise too_slow(self._told)
        self._told = sequence
        self._told_time = asyncio.get_running_loop().time()


class Part(NamedTuple):
    """The next events that were read, as many as one response holds."""

    length: int
    """How many these are, with those that do not match."""
    upto: int
    """The sequence of the last of them."""
    response: bytes | None
    """Those that match; None when none does."""


Place = tuple[int, int, int]
"""Where a subscriber stands (its position, the last `sequence` it was sent), and the last event that it has read."""


class SharedParts:
    """What was put together for one subscriber who wants everything, for the next one at the same place."""

    def __init__(self, *, most_bytes: int = SHARED_BYTES) -> None:
        """Keep the latest, `most_bytes` in all."""
        self._parts: OrderedDict[Place, Part] = OrderedDict()
        self._left = most_bytes

    def at(self, place: Place) -> Part | None:
        """What somebody at this place was brought; None when it is not known (any more)."""
        return self._parts.get(place)

    def keep(self, place: Place, part: Part) -> Part:
        """Remember and return it."""
        self._parts[place] = part
        self._left -= _size(part)
        while self._left < 0:
            _, dropped = self._parts.popitem(last=False)
            self._left += _size(dropped)
        return part


def _size(part: Part) -> int:
    return PART_BYTES + len(part.response or b"")


def fitting(bodies: Sequence[bytes]) -> int:
    """How many of the first of these fit into one response of about `MAX_RESPONSE_BYTES`: one at least."""
    return max(bisect_right(list(accumulate(map(len, bodies))), MAX_RESPONSE_BYTES), 1)


def runs(bodies: Sequence[bytes]) -> Iterator[tuple[int, int]]:
    """Where to cut: from and to of the runs that fit into one response, `MAX_EVENTS` and about `MAX_RESPONSE_BYTES`."""
    first = 0
    while first < len(bodies):
        end = first + fitting(bodies[first : first + MAX_EVENTS])
        yield first, end
        first = end
