"""The stream is the journal: reads by sequence, and a bell. No queue belongs to any subscriber.

Recent events are answered from a ring of their committed bytes, older ones from the table, through one function, so
catch-up and live are one path and a slow reader costs its own time only.
"""

import asyncio
from bisect import bisect_right
from collections.abc import Sequence

from orderd.ports import CompactedError, Entry, Journal

RING_BYTES = 64 * 1024 * 1024
ENTRY_BYTES = 220
"""What Python adds to the bytes of one event: its entry, its order's id, its places in the lists. Measured."""
WAKE_SLICE = 32
WAKE_SPREAD_S = 0.0002
"""Seconds per subscriber over which a wake-up is spread, so that a thousand of them do not starve a submit."""


class JournalFeed:
    """Implements `Feed` over a journal."""

    def __init__(self, journal: Journal, *, ring_bytes: int = RING_BYTES) -> None:
        """Listen to the journal's commits from now on; older events are read from it."""
        self._journal = journal
        self._ring_bytes = ring_bytes
        self._sequences: list[int] = []
        self._entries: list[Entry] = []
        self._held = 0
        self.covered_from = journal.head
        """What comes after it is in memory."""
        self._waiters: dict[asyncio.Future[None], None] = {}
        journal.listen(self._committed)

    @property
    def head(self) -> int:
        """Sequence of the last committed event."""
        return self._journal.head

    @property
    def oldest(self) -> int:
        """The smallest `after_sequence` that can still be read from: what is below may have been let go."""
        return self._journal.floor

    async def read(self, after: int, limit: int) -> Sequence[Entry]:
        """Committed events with a greater sequence, oldest first, at most `limit`. Raises CompactedError."""
        self._check_kept(after)
        if after >= self.covered_from:
            start = bisect_right(self._sequences, after)
            return self._entries[start : start + limit]
        entries = await self._journal.events_after(after, limit=limit)
        # The floor is raised before the first row goes: what this read may have missed is below it by now.
        self._check_kept(after)
        return entries

    def _check_kept(self, after: int) -> None:
        if after < self._journal.floor:
            raise CompactedError(self._journal.floor)

    async def changed(self, after: int, timeout_s: float) -> bool:
        """Wait until the head is beyond `after` (True) or the time is up (False)."""
        if self.head > after:
            return True
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters[waiter] = None
        try:
            async with asyncio.timeout(timeout_s):
                await waiter
        except TimeoutError:
            return self.head > after
        finally:
            self._waiters.pop(waiter, None)
        return True

    def _committed(self, entries: Sequence[Entry]) -> None:
        self._entries += entries
        self._sequences += [entry.sequence for entry in entries]
        self._held += sum([len(entry.data) for entry in entries]) + ENTRY_BYTES * len(entries)
        if self._held > self._ring_bytes:
            self._trim()
        self._ring()

    def _trim(self) -> None:
        """Drop the older part at once: trimming one by one would move the whole list each time."""
        drop, freed = 0, 0
        goal = self._held - self._ring_bytes // 2
        while freed < goal and drop < len(self._entries):
            freed += len(self._entries[drop].data) + ENTRY_BYTES
            drop += 1
        self.covered_from = self._sequences[drop - 1]
        del self._sequences[:drop], self._entries[:drop]
        self._held -= freed

    def _ring(self) -> None:
        if not self._waiters:
            return
        waiting, self._waiters = list(self._waiters), {}
        _wake(waiting[:WAKE_SLICE])
        loop = asyncio.get_running_loop()
        for start in range(WAKE_SLICE, len(waiting), WAKE_SLICE):
            loop.call_later(start * WAKE_SPREAD_S, _wake, waiting[start : start + WAKE_SLICE])


def _wake(waiters: Sequence["asyncio.Future[None]"]) -> None:
    for waiter in waiters:
        if not waiter.done():
            waiter.set_result(None)
