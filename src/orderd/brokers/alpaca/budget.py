"""How many requests may still go out this minute, and who waits.

Alpaca allows a number of requests a minute for each account (200 by default) and answers 429 beyond it. Requests of
the last minute are counted here, so that no window of the broker's can hold too many; the headers of each answer
correct the count (another program may use the same key).

Cancels and exits may use all of it; lookups leave them a tenth, entries leave all three a fifth, and reads leave two
fifths. A tenth of it is kept for reads while they have not had it: without any, a burst of entries that lasts would
keep the account from ever being compared with its broker.
"""

import math
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from orderd.core.values import Value
from orderd.ports import Clock, Lane

_SECOND_NS = 1_000_000_000
_WINDOW_S = 61.0
"""A minute, and what a request may be late on its way."""
_PAUSE_NS = 5 * _SECOND_NS
_TENTHS = {Lane.CANCEL: 10, Lane.EXIT: 10, Lane.LOOKUP: 9, Lane.ENTRY: 8, Lane.READ: 6}
_ALL_TENTHS = 10
_PAUSING = frozenset({Lane.ENTRY, Lane.READ})
_LEAST = 5
"""Fewer requests a minute than this are no budget."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Ticket(Value, frozen=True, kw_only=True):
    """One request that was let through; `number` counts them."""

    number: int


class _Ceiling(Value, frozen=True, kw_only=True):
    """The broker's own count: tickets up to `last` may go out before `until_ns`. `reset` names its window."""

    last: int
    until_ns: int
    reset: int


class Budget:
    """The request budget of one credential. Not shared between event loops."""

    def __init__(self, clock: Clock, per_minute: int) -> None:
        """Begin with `per_minute` requests a minute until the headers say otherwise."""
        if per_minute < _LEAST:
            raise ValueError(f"a budget of fewer than {_LEAST} requests a minute leaves reads none")
        self._clock = clock
        self._limit = per_minute
        self._sent: deque[int] = deque()
        self._reads: deque[int] = deque()
        """Those of them that were reads."""
        self._count = 0
        self._ceiling: _Ceiling | None = None
        self._paused_until = 0

    @property
    def limit(self) -> int:
        """Requests a minute as known now."""
        return self._limit

    async def take(self, lane: Lane) -> Ticket:
        """Wait until a request of this lane may go out, and count it."""
        while (wait := self.wait_s(lane)) > 0:
            await self._clock.sleep(wait)
        self._count += 1
        now = self._clock.monotonic_ns()
        self._sent.append(now)
        if lane is Lane.READ:
            self._reads.append(now)
        return Ticket(number=self._count)

    def wait_s(self, lane: Lane) -> float:
        """Return the seconds until a request of this lane may go out, 0 for now."""
        now = self._clock.monotonic_ns()
        window = round(_WINDOW_S * _SECOND_NS)
        for times in (self._sent, self._reads):
            while times and times[0] <= now - window:
                times.popleft()
        reserve = self._reserve(lane)
        waits = (self._own_wait(now, window, reserve), self._broker_wait(now, reserve), self._pause(now, lane))
        return max(waits) / _SECOND_NS

    def _reserve(self, lane: Lane) -> int:
        """How many of a minute's requests this lane leaves to others."""
        for_reads = max(self._limit // _ALL_TENTHS - len(self._reads), 0)
        if lane is Lane.READ and for_reads:
            return self._limit - self._limit * _TENTHS[Lane.ENTRY] // _ALL_TENTHS
        reserve = self._limit - self._limit * _TENTHS[lane] // _ALL_TENTHS
        return reserve + for_reads if lane is Lane.ENTRY else reserve

    def _own_wait(self, now: int, window: int, reserve: int) -> int:
        excess = len(self._sent) - (self._limit - reserve)
        return 0 if excess < 0 else self._sent[excess] + window - now

    def _broker_wait(self, now: int, reserve: int) -> int:
        if self._ceiling is None:
            return 0
        if now >= self._ceiling.until_ns:
            self._ceiling = None
            return 0
        return self._ceiling.until_ns - now if self._count >= self._ceiling.last - reserve else 0

    def _pause(self, now: int, lane: Lane) -> int:
        return max(self._paused_until - now, 0) if lane in _PAUSING else 0

    def learn(self, ticket: Ticket, headers: Mapping[str, str]) -> None:
        """Correct the count by what the answer to this request says is left."""
        limit = _whole(headers.get("x-ratelimit-limit"))
        if limit is not None and limit >= _LEAST:
            self._limit = limit
        remaining = _whole(headers.get("x-ratelimit-remaining"))
        reset = _whole(headers.get("x-ratelimit-reset"))
        if remaining is None or reset is None:
            return
        # Requests sent after this one may not be in its figure yet: counting from its number errs on the safe side.
        last = ticket.number + remaining
        known = self._ceiling
        if known is not None and known.reset >= reset:
            if known.reset == reset and last < known.last:
                self._ceiling = _Ceiling(last=last, until_ns=known.until_ns, reset=reset)
            return
        until = self._clock.monotonic_ns() + self._until_reset(reset)
        self._ceiling = _Ceiling(last=last, until_ns=until, reset=reset)

    def _until_reset(self, reset: int) -> int:
        """Return the nanoseconds until the broker's window ends, whatever the wall clock claims, within a minute."""
        seconds = (_EPOCH - self._clock.now()) / timedelta(seconds=1) + reset
        return math.ceil(min(max(seconds, 0), _WINDOW_S) * _SECOND_NS)

    def exhausted(self) -> None:
        """Alpaca answered 429: entries and reads stay home for some seconds, whatever the count says."""
        self._paused_until = self._clock.monotonic_ns() + _PAUSE_NS


def _whole(value: str | None) -> int | None:
    if value is None or not value.isascii() or not value.isdigit():
        return None
    return min(int(value), 10**12)
